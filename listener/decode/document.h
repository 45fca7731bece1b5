/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_DOCUMENT_H
#define VPCFLOWD_DECODE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "decode/plain.h"

enum document_kind {
	DOCUMENT_CLOUDWATCH, /* a message with logEvents */
	DOCUMENT_CONTROL,    /* CloudWatch's health check: no flow in it */
	DOCUMENT_MESSAGES,   /* {"message": ...} objects, one after another */
	DOCUMENT_LINES,	     /* whole lines */
};

/*
 * What a payload is unpacked to: text that is complete and, where it is JSON, valid. The slices
 * borrow from text and are JSON values as written (decode/json.h); those a kind lacks are empty.
 */
struct document {
	struct document *next;
	enum document_kind kind;
	bool first_lines; /* LINES: no header line before these holds for them */
	char *text;	  /* owned, unless it lies where a whole payload does */
	bool borrowed;
	size_t len;
	size_t room;	     /* of an owned text that more was joined to; 0 for none to spare */
	struct slice owner;  /* CLOUDWATCH: account */
	struct slice group;  /* CLOUDWATCH: log group */
	struct slice events; /* CLOUDWATCH: the array logEvents */
	struct plain plain;  /* owned; what was found of events while the text was scanned */
};

/* Frees what a document that is in no queue owns. */
void document_deinit(struct document *d);

/* A queue of documents, first in first out. Owns them. */
struct documents {
	struct document *first;
	struct document **last;
	size_t size;  /* octets they hold, each with its own cost */
	size_t plain; /* and what was found of plain events, at most PLAIN_MOST */
};

void documents_init(struct documents *d);
void documents_free(struct documents *d);
/*
 * Appends a document, which becomes the queue's with all it owns. False without memory; it then
 * stays the caller's.
 */
bool documents_add(struct documents *d, const struct document *document);
/*
 * Moves all of from to the end of d. A single {"message": ...} goes into the document before it
 * where that is the same: a million of them must not cost a million documents.
 */
void documents_move(struct documents *d, struct documents *from);
/* Removes and frees the first document; there must be one. */
void documents_drop_first(struct documents *d);

static inline bool documents_empty(const struct documents *d)
{
	return d->first == NULL;
}

#endif
