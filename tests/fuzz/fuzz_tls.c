/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: what to do, how to cut, how the listener's certificate is asked for; then what a client sends:
 * as it is before any handshake, or as plaintext of a client of ours, whose records are damaged where
 * the input says, within the handshake or after it.
 * Held: nothing comes out before the handshake is done; what comes out is a beginning of what was
 * sent, and all of it when nothing was damaged; a broken session stays broken and takes nothing more.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/tls.h"
#include "fuzz.h"

enum { RAW, HANDSHAKE_DAMAGED, RECORDS_DAMAGED, UNDAMAGED, WAYS, ROUNDS = 8 };

static struct tls_context *listener;
static struct tls_context *demanding; /* wants a certificate */
static struct tls_context *client;

struct run {
	struct tls_session *listener;
	struct tls_session *client;
	struct buf got;
	struct cuts cuts;
	size_t damage_at; /* octets of the client's that pass before; SIZE_MAX for none */
	unsigned damage;
	size_t sent;
	bool ended;
};

/* ---- the listener's side --------------------------------------------------------------------- */

static enum step listen_on(struct run *r)
{
	enum step step = tls_handshake(r->listener);
	CHECK((step == STEP_OK) == tls_is_up(r->listener));
	while (step == STEP_OK && !r->ended) {
		char room[512];
		size_t n;
		step = tls_read(r->listener, room, 1 + r->got.len % sizeof(room), &n);
		CHECK(step == STEP_OK || n == 0);
		r->ended = step == STEP_OK && n == 0;
		fuzz_add(&r->got, slice_of(room, n));
	}
	return step;
}

static void check_broken(struct run *r)
{
	char why[TLS_WHY];
	CHECK(strlen(tls_why(r->listener, why)) > 0);
	for (const char *p = why; *p != '\0'; p++)
		CHECK(*p >= ' ' && *p <= '~' && *p != '"');
	CHECK(tls_handshake(r->listener) == (tls_is_up(r->listener) ? STEP_OK : STEP_BAD));
	CHECK(!tls_write(r->listener, SLICE_LITERAL("x")));
	tls_end(r->listener);
}

/* The listener gets octets in pieces; sometimes they are kept, as if there were no room. */
static void deliver(struct run *r, struct slice octets)
{
	enum step step = STEP_MORE;
	while (octets.len > 0 && step != STEP_BAD && !r->ended) {
		size_t n = cuts_next(&r->cuts, octets.len);
		char *lent = fuzz_copy(slice_of(octets.data, n));
		tls_give(r->listener, slice_of(lent, n));
		if (n % 3 == 0) {
			CHECK(tls_keep(r->listener));
			memset(lent, 'x', n);
		}
		step = listen_on(r);
		CHECK(step != STEP_MORE || !tls_waiting(r->listener));
		free(lent);
		slice_skip(&octets, n);
	}
	if (step == STEP_BAD)
		check_broken(r);
}

/* ---- the client's side ----------------------------------------------------------------------- */

static void carry_to_listener(struct run *r)
{
	struct buf out;
	tls_take_output(r->client, &out);
	if (r->damage_at >= r->sent && r->damage_at - r->sent < out.len)
		out.data[r->damage_at - r->sent] ^= (char)r->damage;
	r->sent += out.len;
	deliver(r, buf_slice(&out));
	buf_deinit(&out);
}

static void carry_to_client(struct run *r)
{
	struct buf out;
	tls_take_output(r->listener, &out);
	tls_give(r->client, buf_slice(&out));
	(void)!tls_handshake(r->client);
	CHECK(tls_keep(r->client));
	buf_deinit(&out);
}

static void shake_hands(struct run *r)
{
	(void)!tls_handshake(r->client);
	for (unsigned i = 0; i < ROUNDS; i++) {
		carry_to_listener(r);
		carry_to_client(r);
	}
}

static void talk(struct run *r, unsigned way, struct slice in)
{
	size_t at = fuzz_choice(&in) | (size_t)fuzz_choice(&in) << 8;
	r->damage = 1u + fuzz_choice(&in) % 255;
	r->damage_at = way == HANDSHAKE_DAMAGED ? at : SIZE_MAX;
	r->client = tls_session_new(client, NULL);
	CHECK(r->client != NULL);
	shake_hands(r);
	CHECK(way == HANDSHAKE_DAMAGED || tls_is_up(r->listener));
	if (way == RECORDS_DAMAGED)
		r->damage_at = r->sent + at;
	if (tls_is_up(r->client) && tls_write(r->client, in))
		tls_end(r->client);
	carry_to_listener(r);
	CHECK(r->got.len <= in.len &&
	      (r->got.len == 0 || memcmp(r->got.data, in.data, r->got.len) == 0));
	CHECK(way != UNDAMAGED || (r->got.len == in.len && r->ended));
	CHECK(!r->ended || r->got.len == in.len || way == HANDSHAKE_DAMAGED);
	tls_session_free(&r->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	unsigned way = fuzz_choice(&in) % WAYS;
	unsigned demand = fuzz_choice(&in) % 2;
	struct run r = { .cuts = { fuzz_choice(&in) } };
	/* One of ours has no certificate to show. */
	r.listener = tls_session_new(demand && way == RAW ? demanding : listener, NULL);
	CHECK(r.listener != NULL);
	buf_init(&r.got, SIZE_MAX / 2);
	if (way == RAW) {
		deliver(&r, in);
		CHECK(!tls_is_up(r.listener) && r.got.len == 0);
	} else {
		talk(&r, way, in);
	}
	tls_session_free(&r.listener);
	buf_deinit(&r.got);
	return 0;
}

/* ---- a certificate of the day ---------------------------------------------------------------- */

/* A file in memory; fills its path. */
static FILE *memory_file(char path[64])
{
	int fd = memfd_create("tls", MFD_CLOEXEC);
	FILE *file = fdopen(fd, "w");
	CHECK(file != NULL);
	(void)snprintf(path, 64, "/proc/self/fd/%d", fd);
	return file;
}

static X509 *sign(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	CHECK(cert != NULL);
	X509_NAME *name = X509_get_subject_name(cert);
	CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"fuzz",
					 -1, -1, 0) == 1);
	X509_set_version(cert, X509_VERSION_3);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 365L * 86400);
	CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

static struct tls_context *load(enum tls_role role, const char *cert, const char *key,
				const char *ca)
{
	const struct tls_files files = { cert, key, ca };
	struct tls_context *c = NULL;
	struct tls_mistake mistake;
	CHECK(tls_context_load(&c, role, &files, &mistake));
	return c;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char paths[2][64];
	FILE *files[] = { memory_file(paths[0]), memory_file(paths[1]) };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	CHECK(key != NULL);
	X509 *cert = sign(key);
	CHECK(PEM_write_X509(files[0], cert) == 1 && fflush(files[0]) == 0);
	CHECK(PEM_write_PrivateKey(files[1], key, NULL, NULL, 0, NULL, NULL) == 1);
	CHECK(fflush(files[1]) == 0);
	listener = load(TLS_LISTENER, paths[0], paths[1], NULL);
	demanding = load(TLS_LISTENER, paths[0], paths[1], paths[0]);
	client = load(TLS_CLIENT, NULL, NULL, paths[0]);
	X509_free(cert);
	EVP_PKEY_free(key);
	(void)fclose(files[0]);
	(void)fclose(files[1]);
	fuzz_quiet(argc, argv);
	return 0;
}
