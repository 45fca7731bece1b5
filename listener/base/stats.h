/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_STATS_H
#define VPCFLOWD_BASE_STATS_H

#include <stdint.h>
#include <stdio.h>

#include "base/result.h"

/*
 * What a worker counts: name, meaning. The law that every test holds us to:
 *   events = flows + nodata + skipdata + rejected + filtered
 */
#define COUNTERS(X)                                                                                \
	X(connections, "connections accepted")                                                     \
	X(connections_open, "connections open now")                                                \
	X(connections_refused, "connections closed at accept by --allow")                          \
	X(connections_refused_per_address,                                                         \
	  "connections closed at accept by --max-connections-per-address")                         \
	X(bytes_received, "octets received from peers and files")                                  \
	X(bytes_inflated, "octets that came out of gzip")                                          \
	X(bytes_in_flight, "octets of unfinished payloads held now")                               \
	X(puts, "PUT commands taken")                                                              \
	X(acks, "PUTs answered with ACK")                                                          \
	X(dups, "PUTs answered with DUP: taken before")                                            \
	X(waits, "WAIT lines sent")                                                                \
	X(retries, "PUTs answered with RETRY")                                                     \
	X(rejects, "PUTs answered with REJECT")                                                    \
	X(auth_failures, "peers refused for want of a good token")                                 \
	X(documents, "CloudWatch messages, message objects and runs of lines unpacked")            \
	X(control_messages, "CONTROL_MESSAGE documents, which carry no flow")                      \
	X(events, "flow log records seen")                                                         \
	X(flows, "records converted")                                                              \
	X(nodata, "NODATA records: no traffic in the window")                                      \
	X(skipdata, "SKIPDATA records: AWS lost some of its own")                                  \
	X(rejected, "records that could not be converted, by reason below")                        \
	X(filtered, "records that --filter does not want: taken, and left out of every output")    \
	X(payloads_rejected, "payloads and documents lost whole, by reason below")                 \
	X(spooled, "payloads stored in the spool")                                                 \
	X(spool_bytes, "octets in the spool now")                                                  \
	X(spool_replayed, "payloads that reached the outputs from the spool")                      \
	X(spool_damaged, "damaged places found in the spool")                                      \
	X(spool_unconverted, "payloads in the spool that could no longer be converted")

/* Why a connection ended: name, text. */
#define CLOSE_REASONS(X)                                                                           \
	X(DONE, "done", "peer finished")                                                           \
	X(IDLE, "idle", "nothing sent within --idle-timeout")                                      \
	X(DRAINING, "draining", "listener is stopping")                                            \
	X(FIRST_BYTE, "first_byte", "nothing sent within --first-byte-timeout")                    \
	X(HANDSHAKE, "handshake", "TLS handshake not complete within --handshake-timeout")         \
	X(SLOW, "slow", "payload not complete within --payload-timeout")                           \
	X(DEAF, "deaf", "replies not read within --payload-timeout")                               \
	X(RESET, "reset", "connection broken by peer")                                             \
	X(CUT, "cut", "peer ended in the middle of a payload")                                     \
	X(PAYLOAD, "payload", "payload damaged, next boundary unknown")                            \
	X(COMMAND, "command", "malformed command")                                                 \
	X(AUTH, "auth", "no valid token")                                                          \
	X(TLS, "tls", "no TLS session, or one that was damaged or cut")                            \
	X(MEMORY, "memory", "out of memory")

enum close_reason {
#define X(code, name, text) CLOSE_##code,
	CLOSE_REASONS(X)
#undef X
		CLOSE_COUNT
};

const char *close_reason_name(enum close_reason reason);
const char *close_reason_text(enum close_reason reason);

/* One writer, its worker's thread. */
struct stats {
#define X(member, help) uint64_t member;
	COUNTERS(X)
#undef X
	uint64_t fault[FAULT_COUNT];
	uint64_t closed[CLOSE_COUNT];
};

/* Adds what was counted aside. */
void stats_add(struct stats *s, const struct stats *more);

/* Prints every counter as name=value, one a line; those by reason only when not 0. */
void stats_print(const struct stats *s, FILE *out);

#endif
