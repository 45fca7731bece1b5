/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names where people use them: of protocols, ports and TCP flags, in one table, since what a machine
 * has in /etc/services must not change what a filter means. And the name that was meant, when one
 * was mistyped.
 */
#include "flow/filter_program.h"

/*
 * Group, name, number. Ports and protocols are IANA's ("Service Name and Transport Protocol Port
 * Number Registry", "Protocol Numbers"), with the short names that people say beside them; the bits are
 * those of RFC 9293 section 3.1 and RFC 3168 section 6.1, which AWS counts in the same way.
 */
#define NAMES(X)                                                                                   \
	X(PROTOCOLS, "icmp", 1)                                                                    \
	X(PROTOCOLS, "igmp", 2)                                                                    \
	X(PROTOCOLS, "ipip", 4)                                                                    \
	X(PROTOCOLS, "tcp", 6)                                                                     \
	X(PROTOCOLS, "udp", 17)                                                                    \
	X(PROTOCOLS, "gre", 47)                                                                    \
	X(PROTOCOLS, "esp", 50)                                                                    \
	X(PROTOCOLS, "ah", 51)                                                                     \
	X(PROTOCOLS, "icmp6", 58)                                                                  \
	X(PROTOCOLS, "icmpv6", 58)                                                                 \
	X(PROTOCOLS, "ipv6-icmp", 58)                                                              \
	X(PROTOCOLS, "ospf", 89)                                                                   \
	X(PROTOCOLS, "vrrp", 112)                                                                  \
	X(PROTOCOLS, "sctp", 132)                                                                  \
	X(PORTS, "ftp-data", 20)                                                                   \
	X(PORTS, "ftp", 21)                                                                        \
	X(PORTS, "ssh", 22)                                                                        \
	X(PORTS, "telnet", 23)                                                                     \
	X(PORTS, "smtp", 25)                                                                       \
	X(PORTS, "dns", 53)                                                                        \
	X(PORTS, "domain", 53)                                                                     \
	X(PORTS, "tftp", 69)                                                                       \
	X(PORTS, "http", 80)                                                                       \
	X(PORTS, "kerberos", 88)                                                                   \
	X(PORTS, "pop3", 110)                                                                      \
	X(PORTS, "ntp", 123)                                                                       \
	X(PORTS, "msrpc", 135)                                                                     \
	X(PORTS, "netbios-ns", 137)                                                                \
	X(PORTS, "netbios-dgm", 138)                                                               \
	X(PORTS, "netbios-ssn", 139)                                                               \
	X(PORTS, "imap", 143)                                                                      \
	X(PORTS, "snmp", 161)                                                                      \
	X(PORTS, "snmptrap", 162)                                                                  \
	X(PORTS, "bgp", 179)                                                                       \
	X(PORTS, "ldap", 389)                                                                      \
	X(PORTS, "https", 443)                                                                     \
	X(PORTS, "smb", 445)                                                                       \
	X(PORTS, "microsoft-ds", 445)                                                              \
	X(PORTS, "isakmp", 500)                                                                    \
	X(PORTS, "syslog", 514)                                                                    \
	X(PORTS, "submission", 587)                                                                \
	X(PORTS, "ldaps", 636)                                                                     \
	X(PORTS, "imaps", 993)                                                                     \
	X(PORTS, "pop3s", 995)                                                                     \
	X(PORTS, "openvpn", 1194)                                                                  \
	X(PORTS, "mssql", 1433)                                                                    \
	X(PORTS, "ms-sql-s", 1433)                                                                 \
	X(PORTS, "oracle", 1521)                                                                   \
	X(PORTS, "nfs", 2049)                                                                      \
	X(PORTS, "mysql", 3306)                                                                    \
	X(PORTS, "rdp", 3389)                                                                      \
	X(PORTS, "ipsec-nat-t", 4500)                                                              \
	X(PORTS, "ipfix", 4739)                                                                    \
	X(PORTS, "postgres", 5432)                                                                 \
	X(PORTS, "postgresql", 5432)                                                               \
	X(PORTS, "vnc", 5900)                                                                      \
	X(PORTS, "winrm", 5985)                                                                    \
	X(PORTS, "redis", 6379)                                                                    \
	X(PORTS, "http-alt", 8080)                                                                 \
	X(PORTS, "kafka", 9092)                                                                    \
	X(PORTS, "elasticsearch", 9200)                                                            \
	X(PORTS, "memcached", 11211)                                                               \
	X(PORTS, "mongodb", 27017)                                                                 \
	X(FLAGS, "fin", 1)                                                                         \
	X(FLAGS, "syn", 2)                                                                         \
	X(FLAGS, "rst", 4)                                                                         \
	X(FLAGS, "psh", 8)                                                                         \
	X(FLAGS, "ack", 16)                                                                        \
	X(FLAGS, "urg", 32)                                                                        \
	X(FLAGS, "ece", 64)                                                                        \
	X(FLAGS, "cwr", 128)

enum group { NO_NAMES, PROTOCOLS, PORTS, FLAGS };

enum { NAME_MOST = 40, MISTYPED = 3, FAR = 99 };

static const struct {
	enum group group;
	struct slice name;
	uint16_t number;
} names[] = {
#define X(group, text, number) { group, { (text), sizeof(text) - 1 }, number },
	NAMES(X)
#undef X
};

static enum group group_of(enum field field)
{
	switch (field) {
	case FIELD_PROTOCOL:
		return PROTOCOLS;
	case FIELD_SRCPORT:
	case FIELD_DSTPORT:
		return PORTS;
	case FIELD_TCP_FLAGS:
		return FLAGS;
	default:
		return NO_NAMES;
	}
}

bool filter_is_word(enum field field)
{
	switch (field) {
	case FIELD_ACTION:
	case FIELD_LOG_STATUS:
	case FIELD_TYPE:
	case FIELD_REGION:
	case FIELD_SUBLOCATION_TYPE:
	case FIELD_PKT_SRC_AWS_SERVICE:
	case FIELD_PKT_DST_AWS_SERVICE:
	case FIELD_FLOW_DIRECTION:
	case FIELD_REJECT_REASON:
	case FIELD_INTERFACE_TYPE:
	case FIELD_NEXT_HOP_INTERFACE_TYPE:
	case FIELD_RESOURCE_TYPE:
		return true;
	default:
		return false;
	}
}

static bool one_name(enum group group, struct slice name, uint64_t *n)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].group == group &&
		    filter_compare_texts(name, names[i].name, true) == 0) {
			*n = names[i].number;
			return true;
		}
	return false;
}

/* syn, syn-ack, syn+ack: the bits of each. */
static bool flag_names(struct slice text, uint64_t *n)
{
	*n = 0;
	for (;;) {
		size_t len = 0;
		uint64_t bit;
		while (len < text.len && text.data[len] != '-' && text.data[len] != '+')
			len++;
		if (!one_name(FLAGS, slice_of(text.data, len), &bit))
			return false;
		*n |= bit;
		if (len == text.len)
			return true;
		slice_skip(&text, len + 1);
	}
}

bool filter_name_number(enum field field, struct slice name, uint64_t *n)
{
	enum group group = group_of(field);
	return group == FLAGS ? flag_names(name, n) : one_name(group, name, n);
}

/* ---- the name that was meant ----------------------------------------------------------------- */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* A letter of a name that people write in more ways than one. */
static char letter_of(struct slice name, size_t at)
{
	char c = name.data[at] == '_' ? '-' : name.data[at];
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/*
 * How many letters to add, take away, change, or swap with the next (the distance of optimal string
 * alignment): a row for each letter of a, of which the next needs the two before it.
 */
static unsigned distance(struct slice a, struct slice b)
{
	unsigned row[3][NAME_MOST + 1];
	size_t longer = a.len > b.len ? a.len - b.len : b.len - a.len;
	if (a.len > NAME_MOST || b.len > NAME_MOST || longer > MISTYPED)
		return FAR;
	for (unsigned k = 0; k <= b.len; k++)
		row[0][k] = k;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *now = row[i % 3];
		const unsigned *last = row[(i - 1) % 3];
		now[0] = i;
		for (unsigned k = 1; k <= b.len; k++) {
			bool same = letter_of(a, i - 1) == b.data[k - 1];
			now[k] = least(last[k - 1] + !same, least(last[k], now[k - 1]) + 1);
			if (i > 1 && k > 1 && letter_of(a, i - 2) == b.data[k - 1] &&
			    letter_of(a, i - 1) == b.data[k - 2])
				now[k] = least(now[k], row[(i - 2) % 3][k - 2] + 1);
		}
	}
	return row[a.len % 3][b.len];
}

/*
 * Keeps the nearer: a letter in three may be wrong, one at least and MISTYPED at most; else the first
 * that has the name in it.
 */
static void consider(struct slice name, struct slice candidate, unsigned *nearest,
		     const char **answer)
{
	unsigned most = least(name.len < 3 ? 1 : (unsigned)name.len / 3, MISTYPED);
	unsigned d = distance(name, candidate);
	if (d > most && name.len >= 3 && memmem(candidate.data, candidate.len, name.data, name.len))
		d = FAR - 1;
	else if (d > most)
		d = FAR;
	if (d < *nearest) {
		*nearest = d;
		*answer = candidate.data;
	}
}

const char *filter_nearest_field(struct slice name)
{
	const char *answer = NULL;
	unsigned nearest = FAR;
	consider(name, SLICE_LITERAL("addr"), &nearest, &answer);
	consider(name, SLICE_LITERAL("port"), &nearest, &answer);
	for (unsigned f = 0; f < FIELD_COUNT; f++)
		consider(name, field_name(f), &nearest, &answer);
	enum field camel = field_by_camel_name(name);
	return camel == FIELD_UNKNOWN ? answer : field_name(camel).data;
}

const char *filter_nearest_value(enum field field, struct slice name)
{
	const char *answer = NULL;
	unsigned nearest = FAR;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].group == group_of(field) && names[i].group != NO_NAMES)
			consider(name, names[i].name, &nearest, &answer);
	return answer;
}
