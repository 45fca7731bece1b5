/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_INHERITED_H
#define VPCFLOWD_RECEIVE_INHERITED_H

#include <stdbool.h>

#include "base/attributes.h"

/*
 * Listening sockets that a service manager has opened for us, as sd_listen_fds(3) describes: they
 * are the descriptors from 3 on. With it connections wait in the kernel while vpcflowd is not
 * there, so a restart refuses nobody, and a port below 1024 takes no privilege.
 */
enum { INHERITED_FIRST = 3, INHERITED_LIMIT = 16 };

/*
 * How many there are, none when the variables are missing or meant for another process; takes them
 * out of the environment and keeps the descriptors from children. False after the reason was
 * logged: each must be a listening TCP socket.
 */
MUST_CHECK bool inherited_take(unsigned *count);

#endif
