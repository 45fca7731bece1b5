/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that is known of OpenSSL's TLS; its digests are digest.c's. It reads ciphertext where the caller
 * has it and writes it into a buffer that lives until it is taken, so a session at rest holds no
 * buffer at all: OpenSSL gives its own back (SSL_MODE_RELEASE_BUFFERS), and takes from what it is
 * given no octet more than the record that it is at.
 *
 * There is no resumption. Tickets would be octets to a peer that never reads, and one that closes
 * with octets unread resets its connection, and loses what it has sent.
 */
#include "base/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	HANDSHAKE = 22, /* record types: RFC 8446 section 5.1 */
	ALERT = 21,
	RECORD_PLAIN = 16 * 1024,
	RECORD_COST = 64, /* what one adds at most, with the ciphers that are left */
	OUTPUT_MOST = 8 * 1024 * 1024,
	ALERTS = 1000, /* alerts of the other side are reasons from here on (ssl.h) */
};

struct tls_context {
	atomic_uint holders;
	SSL_CTX *ctx;
	enum tls_role role;
};

struct tls_session {
	SSL *ssl;
	enum tls_role role;
	struct slice given; /* not used yet; the caller's, or in kept */
	struct buf kept;
	struct buf output;
	bool begun; /* the first octet was looked at */
	bool asked; /* a client: for a certificate */
	bool up;
	bool ended;	    /* the other side sends no more */
	const char *what;   /* why it is broken, NULL while it is not */
	const char *detail; /* NULL for none */
};

/* ---- octets in and out ----------------------------------------------------------------------- */

static int take_given(BIO *bio, char *to, int size)
{
	struct tls_session *s = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (s->given.len == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	size_t n = s->given.len < (size_t)size ? s->given.len : (size_t)size;
	memcpy(to, s->given.data, n);
	slice_skip(&s->given, n);
	if (s->given.len == 0)
		buf_deinit(&s->kept);
	return (int)n;
}

static int add_output(BIO *bio, const char *octets, int size)
{
	struct tls_session *s = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	return size >= 0 && buf_add(&s->output, octets, (size_t)size) ? size : -1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers");
	if (method == NULL)
		return;
	BIO_meth_set_read(method, take_given);
	BIO_meth_set_write(method, add_output);
	BIO_meth_set_ctrl(method, control);
}

/* Sessions may outlive every context, so this belongs to none of them. */
static bool attach(struct tls_session *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, make_method);
	BIO *bio = method == NULL ? NULL : BIO_new(method);
	if (bio == NULL)
		return false;
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	return SSL_set_app_data(s->ssl, s) == 1;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The first error of a call, which is the one nearest to the cause. */
static const char *error_text(void)
{
	static const struct {
		int library;
		int reason;
		const char *text;
	} plain[] = {
		{ ERR_LIB_PEM, PEM_R_NO_START_LINE, "no certificate in it (PEM)" },
		{ ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND, "no certificate in it (PEM)" },
		{ ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED, "no private key in it (PEM)" },
		{ ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH, "not the key of the certificate" },
		{ ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH, "not the key of the certificate" },
		{ ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ, "it has a passphrase" },
		{ ERR_LIB_CRYPTO, ERR_R_INTERRUPTED_OR_CANCELLED, "it has a passphrase" },
	};
	unsigned long error = ERR_peek_error();
	const char *text = ERR_reason_error_string(error);
	if (ERR_SYSTEM_ERROR(error))
		return strerror(ERR_GET_REASON(error));
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		if (ERR_GET_LIB(error) == plain[i].library &&
		    ERR_GET_REASON(error) == plain[i].reason)
			return plain[i].text;
	return text == NULL ? "it cannot be used" : text;
}

static bool mistake(struct tls_mistake *m, enum tls_file file, const char *why)
{
	m->file = file;
	(void)snprintf(m->why, sizeof(m->why), "%s", why);
	ERR_clear_error();
	return false;
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *room, int size, int writing, void *data)
{
	(void)room;
	(void)size;
	(void)writing;
	(void)data;
	return -1;
}

static bool load_own(SSL_CTX *ctx, const struct tls_files *files, struct tls_mistake *m)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, files->cert) != 1)
		return mistake(m, TLS_CERT, error_text());
	const X509 *cert = SSL_CTX_get0_certificate(ctx);
	if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
		return mistake(m, TLS_CERT, "the certificate is not valid yet");
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		return mistake(m, TLS_CERT, "the certificate has expired");
	if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1)
		return mistake(m, TLS_KEY, error_text());
	return true;
}

static bool load_trust(SSL_CTX *ctx, enum tls_role role, const char *ca, struct tls_mistake *m)
{
	int demand = SSL_VERIFY_PEER;
	if (ca == NULL && role == TLS_LISTENER)
		return true;
	if (ca == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return mistake(m, TLS_CA, error_text());
	if (ca != NULL && SSL_CTX_load_verify_file(ctx, ca) != 1)
		return mistake(m, TLS_CA, error_text());
	if (role == TLS_LISTENER) {
		/* Told to clients, so that they can choose among the certificates they have. */
		STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
		if (names == NULL)
			return mistake(m, TLS_CA, error_text());
		SSL_CTX_set_client_CA_list(ctx, names);
		demand |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	}
	SSL_CTX_set_verify(ctx, demand, NULL);
	return true;
}

static int note_asked(SSL *ssl, void *data)
{
	struct tls_session *s = SSL_get_app_data(ssl);
	(void)data;
	s->asked = true;
	return 1;
}

static SSL_CTX *make_ctx(enum tls_role role)
{
	SSL_CTX *ctx = SSL_CTX_new(role == TLS_LISTENER ? TLS_server_method()
							: TLS_client_method());
	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx,
			    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (role == TLS_CLIENT)
		SSL_CTX_set_cert_cb(ctx, note_asked, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_num_tickets(ctx, 0) == 1)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

bool tls_context_load(struct tls_context **context, enum tls_role role,
		      const struct tls_files *files, struct tls_mistake *m)
{
	ERR_clear_error();
	struct tls_context *new = calloc(1, sizeof(*new));
	SSL_CTX *ctx = new == NULL ? NULL : make_ctx(role);
	if (ctx == NULL) {
		free(new);
		return mistake(m, TLS_CERT, "out of memory");
	}
	atomic_init(&new->holders, 1);
	new->ctx = ctx;
	new->role = role;
	if ((files->cert == NULL || load_own(ctx, files, m)) &&
	    load_trust(ctx, role, files->ca, m)) {
		*context = new;
		return true;
	}
	tls_context_free(&new);
	return false;
}

struct tls_context *tls_context_share(struct tls_context *context)
{
	atomic_fetch_add(&context->holders, 1);
	return context;
}

void tls_context_free(struct tls_context **context)
{
	struct tls_context *old = *context;
	*context = NULL;
	if (old == NULL || atomic_fetch_sub(&old->holders, 1) != 1)
		return;
	SSL_CTX_free(old->ctx);
	free(old);
}

/* ---- sessions -------------------------------------------------------------------------------- */

/* Whose certificate it has to be, and which one is asked for (RFC 6066 section 3: names only). */
static bool set_host(SSL *ssl, const char *host)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
		return true;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int64_t tls_context_expiry(const struct tls_context *context)
{
	struct tm end;
	const X509 *cert = SSL_CTX_get0_certificate(context->ctx);
	if (cert == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) != 1)
		return 0;
	return (int64_t)timegm(&end);
}

struct tls_session *tls_session_new(const struct tls_context *context, const char *host)
{
	struct tls_session *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	buf_init(&s->kept, SIZE_MAX / 2);
	buf_init(&s->output, OUTPUT_MOST);
	s->role = context->role;
	s->ssl = SSL_new(context->ctx);
	if (s->ssl == NULL || !attach(s) || (host != NULL && !set_host(s->ssl, host)))
		tls_session_free(&s);
	else if (s->role == TLS_LISTENER)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	ERR_clear_error();
	return s;
}

void tls_session_free(struct tls_session **session)
{
	struct tls_session *s = *session;
	*session = NULL;
	if (s == NULL)
		return;
	SSL_free(s->ssl);
	buf_deinit(&s->kept);
	buf_deinit(&s->output);
	free(s);
}

void tls_give(struct tls_session *s, struct slice octets)
{
	s->given = octets;
}

bool tls_keep(struct tls_session *s)
{
	if (s->given.len == 0 || s->kept.data != NULL)
		return true;
	if (!buf_add(&s->kept, s->given.data, s->given.len))
		return false;
	s->given = buf_slice(&s->kept);
	return true;
}

bool tls_waiting(const struct tls_session *s)
{
	return s->given.len > 0 || SSL_pending(s->ssl) > 0 || s->ended || s->what != NULL;
}

bool tls_is_up(const struct tls_session *s)
{
	return s->up;
}

bool tls_may_be_refused(const struct tls_session *s)
{
	return s->up && s->asked && SSL_version(s->ssl) >= TLS1_3_VERSION;
}

bool tls_is_begun(const struct tls_session *s)
{
	return s->begun;
}

static enum step breaks(struct tls_session *s, const char *what, const char *detail)
{
	s->what = what;
	s->detail = detail;
	s->given.len = 0;
	ERR_clear_error();
	return STEP_BAD;
}

static enum step breaks_by_error(struct tls_session *s)
{
	unsigned long error = ERR_peek_error();
	int reason = ERR_GET_REASON(error);
	bool ssl = ERR_GET_LIB(error) == ERR_LIB_SSL;
	if (ssl && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return breaks(s, "certificate refused",
			      X509_verify_cert_error_string(SSL_get_verify_result(s->ssl)));
	if (ssl && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return breaks(s, "no client certificate", NULL);
	const char *text = ERR_reason_error_string(error);
	if (ssl && reason >= ALERTS)
		return breaks(s, "refused by the other side", text);
	return breaks(s, s->up ? "damaged TLS" : "no TLS handshake", text);
}

/* What became of a call that did not succeed. */
static enum step outcome(struct tls_session *s, int result)
{
	switch (SSL_get_error(s->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return STEP_MORE;
	case SSL_ERROR_ZERO_RETURN:
		s->ended = true;
		return STEP_OK;
	case SSL_ERROR_SSL:
		return breaks_by_error(s);
	default:
		return breaks(s, "out of memory", NULL);
	}
}

/* Told apart here, as OpenSSL has no word for most of what is not TLS. */
static bool is_tls(struct tls_session *s)
{
	if (s->begun || s->given.len == 0)
		return true;
	s->begun = true;
	return s->given.data[0] == HANDSHAKE ||
	       (s->role == TLS_CLIENT && s->given.data[0] == ALERT);
}

enum step tls_handshake(struct tls_session *s)
{
	if (s->up)
		return STEP_OK;
	if (s->what != NULL)
		return STEP_BAD;
	if (!is_tls(s))
		return breaks(s, "not TLS",
			      s->role == TLS_LISTENER ? "a client without TLS on a TLS port"
						      : "the other side does not speak it");
	ERR_clear_error();
	int result = SSL_do_handshake(s->ssl);
	s->up = result == 1;
	if (s->up)
		return STEP_OK;
	enum step step = outcome(s, result);
	return step == STEP_OK ? breaks(s, "ended by the other side", NULL) : step;
}

enum step tls_read(struct tls_session *s, char *room, size_t size, size_t *n)
{
	enum step step = STEP_OK;
	*n = 0;
	if (s->what != NULL)
		return STEP_BAD;
	while (step == STEP_OK && *n < size && !s->ended) {
		size_t got;
		ERR_clear_error();
		int result = SSL_read_ex(s->ssl, room + *n, size - *n, &got);
		if (result == 1)
			*n += got;
		else
			step = outcome(s, result);
	}
	/* An end or a damage after these octets is told by the next call. */
	return *n > 0 ? STEP_OK : step;
}

bool tls_is_broken(const struct tls_session *s)
{
	return s->what != NULL;
}

bool tls_write(struct tls_session *s, struct slice octets)
{
	size_t written;
	size_t cost = (octets.len / RECORD_PLAIN + 1) * RECORD_COST;
	if (s->what != NULL || !s->up || octets.len == 0)
		return octets.len == 0;
	if (!buf_reserve(&s->output, octets.len + cost))
		return false;
	ERR_clear_error();
	int result = SSL_write_ex(s->ssl, octets.data, octets.len, &written);
	if (result != 1 && outcome(s, result) == STEP_MORE)
		(void)breaks(s, "damaged TLS", NULL);
	return result == 1;
}

void tls_end(struct tls_session *s)
{
	if (!s->up || s->what != NULL)
		return;
	ERR_clear_error();
	/* Whether the other side has ended, too, is of no interest. */
	(void)SSL_shutdown(s->ssl);
	ERR_clear_error();
}

void tls_take_output(struct tls_session *s, struct buf *out)
{
	*out = s->output;
	buf_init(&s->output, OUTPUT_MOST);
}

const char *tls_why(const struct tls_session *s, char text[TLS_WHY])
{
	const char *what = s->what == NULL ? "nothing is wrong" : s->what;
	(void)snprintf(text, TLS_WHY, "%s%s%s", what, s->detail == NULL ? "" : ": ",
		       s->detail == NULL ? "" : s->detail);
	return text;
}

enum step tls_sniff(struct slice first)
{
	/* A record with a handshake, of version 3.something. */
	static const char begin[] = { HANDSHAKE, 3 };
	size_t n = first.len < sizeof(begin) ? first.len : sizeof(begin);
	if (n > 0 && memcmp(first.data, begin, n) != 0)
		return STEP_BAD;
	return n < sizeof(begin) ? STEP_MORE : STEP_OK;
}
