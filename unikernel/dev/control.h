/* What the toolstack asks of the domain: `xl shutdown`, `xl reboot`, `xl save` and migrations, through
 * control/shutdown. */
#ifndef SPX_CONTROL_H
#define SPX_CONTROL_H

#include "unikernel/dev/xenstore.h"

enum spx_ask { SPX_ASK_NOTHING, SPX_ASK_POWEROFF, SPX_ASK_REBOOT, SPX_ASK_SUSPEND };

/* Says that we can do all of these, and watches for them under that token. Again after a resume. */
SP_CHECK sp_err spx_control_open(struct spx_xs *xs, unsigned token);
/* When the xenstore has had an event: what is asked, which is thereby acknowledged. Each once; unknown words are
 * nothing. */
enum spx_ask spx_control_take(struct spx_xs *xs, unsigned token);

#endif
