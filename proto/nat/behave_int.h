/* What the two halves of behaviour discovery share: the tests, and the verdict on them. */
#ifndef SP_NAT_BEHAVE_INT_H
#define SP_NAT_BEHAVE_INT_H

#include "proto/nat/behave.h"

enum sp_behave_what {
    SP_BEHAVE_DIRECT,      /* a server's address is asked, and answers itself: what is the mapping towards it? */
    SP_BEHAVE_CHANGE_BOTH, /* the answer is to come from another address and port */
    SP_BEHAVE_CHANGE_PORT, /* from another port */
    SP_BEHAVE_HAIRPIN,     /* we ask our own outside address */
};

/* Fills in the result from the tests as they stand. */
void sp_behave_judge(struct sp_behave *b);

#endif
