/* Telling systemd how the service does: sd_notify(3), without its library. */
#ifndef SPL_NOTIFY_H
#define SPL_NOTIFY_H

/* Sends one state ("READY=1"). Nothing when NOTIFY_SOCKET is not set. */
void spl_notify(const char *state);

#endif
