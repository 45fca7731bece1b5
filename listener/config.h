/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_CONFIG_H
#define VPCFLOWD_CONFIG_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/tls.h"
#include "deliver/output.h"
#include "flow/address.h"
#include "flow/filter.h"
#include "flow/source.h"
#include "receive/tokens.h"
#include "sum/wanted.h"

enum { LISTEN_LIMIT = 16, OUTPUT_LIMIT = 16, HOST_TEXT = 64, WORKERS_MOST = 64 };

/* An address to listen on, as given and taken apart. */
struct listen_address {
	char *text;
	char host[HOST_TEXT];
	uint16_t port;
	bool standard; /* nobody asked for it: IPv4 alone will do where there is no IPv6 */
};

enum config_task { TASK_RUN, TASK_CHECK, TASK_HELP, TASK_VERSION };

/*
 * What the command line and the configuration file ask for, checked. Read-only once loaded, and
 * shared: who keeps a pointer to it or into it holds a reference.
 */
struct config {
	atomic_uint references;
	enum config_task task;
	bool read;   /* --read: convert the files, then exit */
	char **file; /* argv's, not owned */
	size_t files;
	char *config_file;
	char *ready_file;
	char *spool;		    /* folder, or NULL */
	struct listen_address http; /* without text: nowhere */
	unsigned workers;
	enum log_level log_level;

	struct listen_address listen[LISTEN_LIMIT];
	size_t listens;
	struct output_config output[OUTPUT_LIMIT];
	size_t outputs;
	struct format *fields; /* --fields, or NULL */
	struct format columns; /* of outputs that name them first: all fields that are expected */
	bool columns_known;    /* --flow-format was given, or a source's format */
	bool packet_addresses;
	uint32_t aws_elements; /* a private enterprise number, 0 for none */
	struct sources sources;
	struct filter *filter;	 /* NULL: every flow is wanted */
	struct sums_wanted sums; /* --aggregate */
	struct cidr *allow;
	size_t allows;
	char *token_file;
	struct tokens tokens;
	char *tls_cert;
	char *tls_key;
	char *tls_client_ca;
	struct tls_context *tls_listener; /* NULL: peers speak without TLS */
	char *tls_ca;
	char *tls_output_cert;
	char *tls_output_key;
	struct tls_context *tls_output; /* NULL when no output is tls:// */
	struct limits limits;
};

/*
 * Reads the command line and the file that --config names. True with one reference for the caller;
 * false after the mistake was logged: exit status 2. argv must outlive the configuration.
 */
MUST_CHECK bool config_load(struct config **config, int argc, char **argv);
const struct config *config_reference(const struct config *config);
void config_release(const struct config *config);

/* --check-config: what would run. */
void config_describe(const struct config *config, FILE *out);

#endif
