/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_LIMITS_H
#define VPCFLOWD_BASE_LIMITS_H

#include <stdint.h>

/*
 * What a peer may cost us, and how collectors are treated. Each row is a member of struct limits, a
 * command line option and a key of the configuration file: member, option, unit, default, least,
 * greatest, why.
 *   SIZE   octets, typed as 512, 64K, 16M or 1G (powers of 1024)
 *   COUNT  a plain number
 *   TIME   seconds
 */
#define LIMITS(X)                                                                                  \
	X(payload, "max-payload", SIZE, 16u << 20, 1024, 1u << 30,                                 \
	  "largest payload as sent; what CloudWatch Logs gives to Lambda has at most 1 MB")        \
	X(inflated, "max-inflated", SIZE, 64u << 20, 65536, 4ull << 30,                            \
	  "most octets one payload may unpack to")                                                 \
	X(ratio, "max-ratio", COUNT, 200, 1, 1100,                                                 \
	  "most octets out of gzip for one octet in, once past 64 KiB; flow logs reach 20")        \
	X(depth, "max-depth", COUNT, 32, 3, 64, "deepest JSON; what AWS sends has 5 levels")       \
	X(nesting, "max-nesting", COUNT, 3, 1, 8,                                                  \
	  "gzip and base64 layers around a document; what AWS sends has 2")                        \
	X(columns, "max-columns", COUNT, 128, 1, 128, "columns of a record; AWS has 72 fields")    \
	X(connections, "max-connections", COUNT, 1024, 1, 1000000,                                 \
	  "peers at once; more wait in the kernel's queue")                                        \
	X(connections_per_address, "max-connections-per-address", COUNT, 512, 1, 1000000,          \
	  "peers at once from one address or IPv6 /64, more are closed; half of all, and not a "   \
	  "few, since the Lambdas behind a NAT gateway or a load balancer share its address")      \
	X(in_flight, "max-in-flight", SIZE, 64u << 20, 65536, 64ull << 30,                         \
	  "octets of all peers' unfinished payloads; past it peers are slowed down")               \
	X(handshake, "handshake-timeout", TIME, 10, 1, 86400,                                      \
	  "a new peer's TLS handshake is complete within this time")                               \
	X(first_byte, "first-byte-timeout", TIME, 10, 1, 86400,                                    \
	  "a new peer sends something within this time, after its TLS handshake")                  \
	X(whole_payload, "payload-timeout", TIME, 60, 1, 86400,                                    \
	  "a payload that was begun is complete within this time")                                 \
	X(idle, "idle-timeout", TIME, 300, 1, 86400, "between payloads a peer may be silent")      \
	X(drain, "drain-timeout", TIME, 30, 1, 3600,                                               \
	  "after SIGTERM outputs and peers have this long to finish")                              \
	X(mtu, "mtu", COUNT, 1400, 576, 65507,                                                     \
	  "octets of the largest IPFIX message in a datagram")                                     \
	X(udp_rate, "udp-rate", COUNT, 0, 0, 100000000,                                            \
	  "most records a second to each udp output; 0 is no limit")                               \
	X(template_refresh, "template-refresh", TIME, 600, 1, 86400,                               \
	  "over udp, templates and options are sent again after this time")                        \
	X(template_messages, "template-messages", COUNT, 4096, 1, 1000000000,                      \
	  "over udp, templates are sent again after this many messages")                           \
	X(spool_max, "spool-max", SIZE, 8ull << 30, 1 << 20, 1ull << 42,                           \
	  "most octets in the spool; beyond it peers are told to try again later")                 \
	X(spool_segment, "spool-segment", SIZE, 64u << 20, 4096, 1ull << 32,                       \
	  "a file of the spool that is so large gets a successor")                                 \
	X(remembered, "duplicate-window", TIME, 6 * 3600, 0, 86400,                                \
	  "the same payload by PUT again within this time is not converted again")                 \
	X(remembered_most, "duplicate-memory", COUNT, 1000000, 0, 100000000,                       \
	  "so many payloads are remembered for that, 60 octets each; then the oldest goes")        \
	X(aggregate_memory, "aggregate-memory", SIZE, 1ull << 30, 4u << 20, 16ull << 30,           \
	  "most octets that the sums of --aggregate may take; beyond it nothing is written")       \
	X(reconnect_max, "reconnect-max", TIME, 60, 1, 3600,                                       \
	  "longest pause between two tries to reach a collector; they begin at 1 second")

struct limits {
#define X(member, option, unit, standard, least, greatest, why) uint64_t member;
	LIMITS(X)
#undef X
};

/* Every limit at its default. */
struct limits limits_standard(void);

/* Limits that are not worth an option. */
enum {
	/* The widest record of 128 columns with 200 octets each is below this. */
	LINE_LIMIT = 32 * 1024,
	/*
	 * What a document counts for beside its text: a payload of a million empty ones, which no
	 * service of AWS makes, ends at 65,536 of them by --max-inflated's default, before they take
	 * more memory than the payload itself.
	 */
	DOCUMENT_COST = 1024,
};

#endif
