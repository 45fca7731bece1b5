/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_ADDRESS_H
#define VPCFLOWD_FLOW_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

/* An IP address in network order: the first 4 or all 16 octets count. */
struct address {
	uint8_t version; /* 4 or 6 */
	uint8_t octets[16];
};

/* A block of addresses: 10.0.0.0/8, 2001:db8::/32, or one address. */
struct cidr {
	struct address base;
	unsigned bits;
};

/*
 * Reads one address, strictly: what inet_pton(3) takes and nothing else, no leading zeros in IPv4.
 * False leaves *a undefined.
 */
MUST_CHECK bool address_parse(struct slice text, struct address *a);

bool address_equal(const struct address *a, const struct address *b);

/*
 * Whom limits count together: an IPv4 address, or the /64 of an IPv6 one, since a single machine
 * may have all of that (RFC 4291 section 2.5.1, RFC 8981). IPv4 gets a number from 0::/8, where no
 * machine is.
 */
uint64_t address_network(const struct address *a);

/* Reads an address with an optional prefix length. */
MUST_CHECK bool cidr_parse(struct slice text, struct cidr *c);
bool cidr_contains(const struct cidr *c, const struct address *a);

#endif
