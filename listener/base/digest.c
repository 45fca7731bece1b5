/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and its text. The only file that knows OpenSSL's digests. */
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct digester {
	EVP_MD_CTX *context;
};

struct digester *digester_new(void)
{
	struct digester *d = malloc(sizeof(*d));
	if (d == NULL)
		return NULL;
	d->context = EVP_MD_CTX_new();
	/* Where it could not get itself ready OpenSSL 3.0 would not look before it leaps. */
	bool ready = OSSL_LIB_CTX_get0_global_default() != NULL;
	if (!ready || d->context == NULL || EVP_DigestInit_ex(d->context, EVP_sha256(), NULL) != 1)
		digester_free(&d);
	return d;
}

void digester_free(struct digester **d)
{
	if (*d == NULL)
		return;
	EVP_MD_CTX_free((*d)->context);
	free(*d);
	*d = NULL;
}

void digester_add(struct digester *d, struct slice octets)
{
	/* SHA-256 in memory has no way to fail once it was begun. */
	(void)EVP_DigestUpdate(d->context, octets.data, octets.len);
}

struct digest digester_end(struct digester *d)
{
	struct digest digest;
	(void)EVP_DigestFinal_ex(d->context, digest.octets, NULL);
	return digest;
}

bool digest_of(struct slice octets, struct digest *digest)
{
	struct digester *d = digester_new();
	if (d == NULL)
		return false;
	digester_add(d, octets);
	*digest = digester_end(d);
	digester_free(&d);
	return true;
}

void digest_text(const struct digest *d, char text[DIGEST_TEXT + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		text[2 * i] = digits[d->octets[i] >> 4];
		text[2 * i + 1] = digits[d->octets[i] & 15];
	}
	text[DIGEST_TEXT] = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool digest_parse(struct slice text, struct digest *d)
{
	if (text.len != DIGEST_TEXT)
		return false;
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		int high = digit_value(text.data[2 * i]);
		int low = digit_value(text.data[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		d->octets[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}
