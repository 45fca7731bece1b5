/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: the text of a configuration file, which is its own token file too.
 * Held: what is accepted is complete and within its limits, and can be described; whatever is
 * refused leaks nothing.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"

static char path[64];

/* Linked in place of tokens_load (--wrap): a configuration could name a terminal or a FIFO. */
bool __real_tokens_load(struct tokens *t, const char *file, const char **why);
bool __wrap_tokens_load(struct tokens *t, const char *file, const char **why);

bool __wrap_tokens_load(struct tokens *t, const char *file, const char **why)
{
	CHECK(file != NULL && *file != '\0');
	return __real_tokens_load(t, path, why);
}

/* The same of tls_context_load; the system's trust is left alone, as it is large. */
bool __real_tls_context_load(struct tls_context **context, enum tls_role role,
			     const struct tls_files *files, struct tls_mistake *mistake);
bool __wrap_tls_context_load(struct tls_context **context, enum tls_role role,
			     const struct tls_files *files, struct tls_mistake *mistake);

bool __wrap_tls_context_load(struct tls_context **context, enum tls_role role,
			     const struct tls_files *files, struct tls_mistake *mistake)
{
	const struct tls_files own = {
		.cert = files->cert == NULL ? NULL : path,
		.key = files->key == NULL ? NULL : path,
		.ca = files->ca == NULL ? NULL : path,
	};
	CHECK((own.cert == NULL) == (own.key == NULL));
	CHECK(role == TLS_CLIENT || own.cert != NULL);
	if (own.cert == NULL && own.ca == NULL)
		return true;
	return __real_tls_context_load(context, role, &own, mistake);
}

static void check(const struct config *c)
{
	CHECK(c->task == TASK_CHECK && !c->read && c->files == 0);
	CHECK(c->listens >= 1 && c->listens <= LISTEN_LIMIT);
	CHECK(c->outputs >= 1 && c->outputs <= OUTPUT_LIMIT);
	for (size_t i = 0; i < c->outputs; i++)
		CHECK(c->output[i].encoder.class != NULL && c->output[i].name != NULL);
	CHECK(c->sources.format != NULL && c->sources.format->count >= 1);
	CHECK(c->sources.standard.domain != 0);
	CHECK(c->columns.count >= 1 && c->columns.count <= COLUMN_LIMIT);
	CHECK((c->token_file != NULL) == (c->tokens.count > 0));
	for (size_t i = 0; i < c->sources.count; i++) {
		const struct source_rule *r = &c->sources.rules[i];
		CHECK(r->format != NULL || r->has_exporter || r->has_domain);
		CHECK(!r->has_exporter || r->source.exporter[0] != '\0');
		CHECK(!r->has_domain || r->source.domain != 0);
	}
#define X(member, option, unit, standard, least, greatest, why)                                    \
	CHECK(c->limits.member >= (least) && c->limits.member <= (greatest));
	LIMITS(X)
#undef X
}

static FILE *nowhere;
static int file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_quiet(argc, argv);
	file = memfd_create("config", MFD_CLOEXEC);
	nowhere = fopen("/dev/null", "we");
	CHECK(file >= 0 && nowhere != NULL);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "vpcflowd";
	static char check_config[] = "--check-config";
	static char config[] = "--config";
	char *argv[] = { name, check_config, config, path, NULL };
	struct config *c = NULL;
	CHECK(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
	if (config_load(&c, 4, argv)) {
		check(c);
		config_describe(c, nowhere);
		config_release(c);
	}
	return 0;
}
