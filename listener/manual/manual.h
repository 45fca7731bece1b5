/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_MANUAL_MANUAL_H
#define VPCFLOWD_MANUAL_MANUAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"

/*
 * What users are told, once: --help, the manual page and the completions of shells are made from these
 * parts and from the tables of options, limits, output formats and fields, so they cannot disagree.
 *
 *   text.c ──┬──▶ plain.c       --help, in the daemon
 *   tables ──┼──▶ roff.c        vpcflowd.8           by vpcflowd-manual,
 *            └──▶ complete.c    for bash and zsh     when it is built
 *
 * All texts are ASCII. A word that begins with two minus signs is an option.
 */
enum manual_kind {
	MANUAL_SECTION,	 /* text: its name */
	MANUAL_USAGE,	 /* text: options and arguments after the program's name */
	MANUAL_TEXT,	 /* a paragraph */
	MANUAL_VERBATIM, /* text: lines as they are */
	MANUAL_TERM,	 /* term, and what it is */
	MANUAL_COMMAND,	 /* term: a command line, and what it does */
	MANUAL_OPTIONS,	 /* all options but the limits */
	MANUAL_LIMITS,	 /* the options of base/limits.h, with defaults and bounds */
	MANUAL_FORMATS,	 /* the output formats */
};

struct manual_part {
	enum manual_kind kind;
	bool brief; /* in --help too */
	const char *term;
	const char *text;
};

extern const struct manual_part manual_parts[];
extern const size_t manual_part_count;

/* A row of base/limits.h. */
struct manual_limit {
	const char *option;
	bool size; /* in octets, and typed with K, M or G */
	uint64_t standard, least, greatest;
};

/* NULL when the option is no limit. */
const struct manual_limit *manual_limit(const char *option);
/* A number as it is typed: 16M rather than 16777216. */
enum { MANUAL_NUMBER = 24 };
const char *manual_number(char text[MANUAL_NUMBER], uint64_t n, bool size);

/* What completes the value of an option. */
enum manual_value {
	VALUE_NONE,   /* a flag */
	VALUE_OTHER,  /* nothing can be proposed */
	VALUE_FILE,   /* files */
	VALUE_FOLDER, /* folders */
	VALUE_OUTPUT, /* FORMAT[:DEST] */
	VALUE_FIELDS, /* names of fields, with commas between */
	VALUE_WORDS,  /* one of some words */
};

/* Told by the name that the option's value has; *words is then what it may be, with | between. */
enum manual_value manual_value(const struct option_row *row, const char **words);

/* --help. Whether all could be written only ferror() knows, for all of these. */
void manual_help(FILE *out);
/* vpcflowd(8), by the macros of man(7). date: of the version, as 2026-11-30. */
void manual_roff(FILE *out, const char *version, const char *date);
/* The part of a completion that depends on the options: a function for bash, a call for zsh. */
void manual_bash(FILE *out);
void manual_zsh(FILE *out);

#endif
