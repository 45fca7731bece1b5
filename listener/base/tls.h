/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_TLS_H
#define VPCFLOWD_BASE_TLS_H

#include "base/buf.h"
#include "base/result.h"

/*
 * TLS 1.2 and 1.3, without sockets: ciphertext and plaintext are runs of octets.
 *
 *   from the socket ─tls_give─▶ session ─tls_read──▶ plaintext
 *   to the socket ◀─tls_take_output─ session ◀─tls_write── plaintext
 *
 * GLOSSARY
 *   context   certificate, key and trust, as they were in their files when it was loaded
 *   session   one connection's; begun with a context, which it may outlive
 *   up        the handshake is done, and the other side is who it has to be
 */
struct tls_context;
struct tls_session;

enum tls_role { TLS_LISTENER, TLS_CLIENT };

/* PEM files. The certificate's may go on with the chain that leads to its authority. */
struct tls_files {
	const char *cert; /* a client's may be NULL: it shows none */
	const char *key;  /* of the certificate */
	/* Whom to trust. NULL: a listener asks for no certificate, a client trusts the system's. */
	const char *ca;
};

enum tls_file { TLS_CERT, TLS_KEY, TLS_CA };
/* Room for a reason, which is one line of printable ASCII without quotes. */
enum { TLS_WHY = 192 };

/* What is wrong with which file. */
struct tls_mistake {
	enum tls_file file;
	char why[TLS_WHY];
};

/*
 * Reads the files: they are not needed later. False with the mistake: one of them is unreadable or
 * not what it has to be, the key is another certificate's, the certificate is not valid today.
 */
MUST_CHECK bool tls_context_load(struct tls_context **context, enum tls_role role,
				 const struct tls_files *files, struct tls_mistake *mistake);
/* One more who holds it; each gives it up by tls_context_free. */
struct tls_context *tls_context_share(struct tls_context *context);
void tls_context_free(struct tls_context **context);

/* When its certificate ends to be valid, as Unix time; 0 where it has none. */
int64_t tls_context_expiry(const struct tls_context *context);

/*
 * Begins a session. host, a client's: the name or address that the other side's certificate has to
 * be for; NULL for a listener. NULL without memory.
 */
struct tls_session *tls_session_new(const struct tls_context *context, const char *host);
void tls_session_free(struct tls_session **session);

/*
 * Lends octets that came from the socket, when all that was given before is used. They have to stay
 * where they are until they are used, or until tls_keep().
 */
void tls_give(struct tls_session *s, struct slice octets);
/* Copies what is not used yet of what was lent. False without memory. */
MUST_CHECK bool tls_keep(struct tls_session *s);
/* Whether tls_read may have something without being given more. */
bool tls_waiting(const struct tls_session *s);

/*
 * Goes on with the handshake; a client's first call begins it. STEP_OK: the session is up.
 * STEP_MORE: the other side's turn. STEP_BAD: tls_why() says why; what there is to take of output
 * tells the other side.
 */
MUST_CHECK enum step tls_handshake(struct tls_session *s);
bool tls_is_up(const struct tls_session *s);
/*
 * A client's: whether the other side may still refuse the certificate that it was shown, or that it
 * was not. In TLS 1.3 it says so only after a client's session is up.
 */
bool tls_may_be_refused(const struct tls_session *s);
/* Whether nothing more can come or go; tls_why() says why. */
bool tls_is_broken(const struct tls_session *s);
/* Whether the other side has said anything. */
bool tls_is_begun(const struct tls_session *s);
/*
 * Plaintext, size octets at most. STEP_OK: *n octets, or none when the other side has said that no
 * more come. STEP_MORE: all that was given is used. STEP_BAD: as above. Only when the session is up.
 */
MUST_CHECK enum step tls_read(struct tls_session *s, char *room, size_t size, size_t *n);
/* Adds plaintext to the output. False when the session is broken, or without memory. */
MUST_CHECK bool tls_write(struct tls_session *s, struct slice octets);
/* Adds to the output that no more will come (close_notify). */
void tls_end(struct tls_session *s);
/* Moves what is to be sent into *out, which the caller frees; often that is nothing. */
void tls_take_output(struct tls_session *s, struct buf *out);

/* Writes why the session is broken. Returns text. */
const char *tls_why(const struct tls_session *s, char text[TLS_WHY]);

/*
 * Whether these first octets begin a client's session: STEP_OK, STEP_BAD they do not, STEP_MORE
 * that cannot be told yet.
 */
enum step tls_sniff(struct slice first);

#endif
