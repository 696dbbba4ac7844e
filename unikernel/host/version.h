/* Which build this is: the project's version and, in brackets, the commit it was built from. */
#ifndef SPX_VERSION_H
#define SPX_VERSION_H

extern const char spx_version[];

#endif
