/* The daemon: the server core on its Linux host. */
#ifndef SPL_SERVE_H
#define SPL_SERVE_H

#include "signpostd/linux/config.h"

/* Opens everything, serves until told to stop; the exit status. Says on stderr what went wrong. */
int spl_serve(const struct spl_config *config);

#endif
