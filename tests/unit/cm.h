/* cmocka with what it needs before it. */
#ifndef SP_TESTS_CM_H
#define SP_TESTS_CM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/support.h"

#endif
