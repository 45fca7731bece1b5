/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_STATS_H
#define VPCFLOWD_BASE_STATS_H

#include <stdint.h>
#include <stdio.h>

#include "base/latency.h"
#include "base/result.h"

enum counter_type {
	COUNTER, /* only grows */
	GAUGE,	 /* how it stands now */
	SUM,	 /* of the counters by reason, which have a metric in its place */
};

/*
 * What a worker counts: name, type, metric (vpcflowd_ before it) with its label, meaning. Rows of one
 * metric stand together and share its meaning. The law that every test holds us to:
 *   events = flows + nodata + skipdata + rejected + filtered
 */
#define COUNTERS(X)                                                                                \
	X(connections, COUNTER, "connections_total", "", "connections accepted")                   \
	X(connections_open, GAUGE, "connections_open", "", "connections open now")                 \
	X(connections_refused, COUNTER, "connections_refused_total", "reason=\"allow\"",           \
	  "connections closed at accept, by --allow or --max-connections-per-address")             \
	X(connections_refused_per_address, COUNTER, "connections_refused_total",                   \
	  "reason=\"per_address\"",                                                                \
	  "connections closed at accept, by --allow or --max-connections-per-address")             \
	X(bytes_received, COUNTER, "received_bytes_total", "",                                     \
	  "octets received from peers and files")                                                  \
	X(bytes_inflated, COUNTER, "inflated_bytes_total", "", "octets that came out of gzip")     \
	X(bytes_in_flight, GAUGE, "in_flight_bytes", "", "octets of unfinished payloads held now") \
	X(puts, COUNTER, "puts_total", "", "PUT commands taken")                                   \
	X(acks, COUNTER, "puts_answered_total", "answer=\"ACK\"",                                  \
	  "PUTs answered; DUP: taken before")                                                      \
	X(dups, COUNTER, "puts_answered_total", "answer=\"DUP\"",                                  \
	  "PUTs answered; DUP: taken before")                                                      \
	X(retries, COUNTER, "puts_answered_total", "answer=\"RETRY\"",                             \
	  "PUTs answered; DUP: taken before")                                                      \
	X(rejects, COUNTER, "puts_answered_total", "answer=\"REJECT\"",                            \
	  "PUTs answered; DUP: taken before")                                                      \
	X(waits, COUNTER, "waits_total", "", "WAIT lines sent")                                    \
	X(auth_failures, COUNTER, "auth_failures_total", "",                                       \
	  "peers refused for want of a good token")                                                \
	X(documents, COUNTER, "documents_total", "",                                               \
	  "CloudWatch messages, message objects and runs of lines unpacked")                       \
	X(control_messages, COUNTER, "control_messages_total", "",                                 \
	  "CONTROL_MESSAGE documents, which carry no flow")                                        \
	X(events, COUNTER, "events_total", "", "flow log records seen")                            \
	X(flows, COUNTER, "flows_total", "", "records converted")                                  \
	X(nodata, COUNTER, "nodata_total", "", "NODATA records: no traffic in the window")         \
	X(skipdata, COUNTER, "skipdata_total", "", "SKIPDATA records: AWS lost some of its own")   \
	X(rejected, SUM, "rejected_total", "", "records that could not be converted, by reason")   \
	X(filtered, COUNTER, "filtered_total", "",                                                 \
	  "records that --filter does not want: taken, and left out of every output")              \
	X(payloads_rejected, SUM, "payloads_rejected_total", "",                                   \
	  "payloads and documents lost whole, by reason")                                          \
	X(spooled, COUNTER, "spooled_payloads_total", "", "payloads stored in the spool")          \
	X(spool_bytes, GAUGE, "spool_bytes", "", "octets in the spool now")                        \
	X(spool_refused, COUNTER, "spool_refused_payloads_total", "",                              \
	  "payloads that the spool had no room for, or failed to store")                           \
	X(spool_replayed, COUNTER, "spool_replayed_payloads_total", "",                            \
	  "payloads that reached the outputs from the spool")                                      \
	X(spool_damaged, COUNTER, "spool_damaged_places_total", "",                                \
	  "damaged places found in the spool")                                                     \
	X(spool_unconverted, COUNTER, "spool_unconverted_payloads_total", "",                      \
	  "payloads in the spool that could no longer be converted")

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
#define X(member, type, metric, label, help) uint64_t member;
	COUNTERS(X)
#undef X
	uint64_t fault[FAULT_COUNT];
	uint64_t closed[CLOSE_COUNT];
	struct latency ack; /* from a PUT's last octet to its ACK */
};

/* A row of a table of counters. */
struct counter_row {
	const char *name;
	size_t offset; /* of its uint64_t */
	enum counter_type type;
	const char *metric;
	const char *label; /* name="value", or empty */
	const char *help;
};

extern const struct counter_row stats_rows[];
extern const size_t stats_row_count;

/* Its number in a structure that has it. */
uint64_t counter_of(const void *counters, const struct counter_row *row);

/* Adds what was counted aside. */
void stats_add(struct stats *s, const struct stats *more);
/* Takes away what was counted before; what stands now stays as it is. */
void stats_subtract(struct stats *s, const struct stats *before);

/* Prints every counter as name=value, one a line; those by reason only when not 0. */
void stats_print(const struct stats *s, FILE *out);

#endif
