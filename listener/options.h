/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_OPTIONS_H
#define VPCFLOWD_OPTIONS_H

#include "config.h"

/* Room for what is wrong with a value. */
enum { WHY_ROOM = 256 };

/* How often an option may be given, and whether it takes a value. */
enum option_form {
	OPTION_FLAG,   /* no value */
	OPTION_VALUE,  /* the last one holds */
	OPTION_REPEAT, /* all of them; those of the command line replace the file's */
};

/* One option: on the command line --name VALUE, in the configuration file "name": VALUE. */
struct option_row {
	const char *name;
	char letter; /* 0 for none */
	enum option_form form;
	/* Its name in --help, which also says what completes it: manual_value. */
	const char *value;
	bool line_only; /* makes no sense in the file */
	/* Puts the value (NULL for flags) into the configuration; false with why. */
	bool (*set)(struct config *c, const char *value, char why[WHY_ROOM]);
	/* After set has refused a value and its why was logged: logs where in it that is. Or NULL. */
	void (*show)(const char *value);
	/* OPTION_REPEAT: forgets the values so far. */
	void (*clear)(struct config *c);
	const char *help;
	/* A heading before this option in --help and the manual, for it and those after it. */
	const char *heading;
};

extern const struct option_row option_rows[];
extern const size_t option_count;

/* NULL when there is none of this name. */
const struct option_row *option_by_name(const char *name);

/* Writes into why and returns false, so that a setter can return it. */
bool option_wrong(char why[WHY_ROOM], const char *format, ...) PRINTF_LIKE(2, 3);
/* Sets what several places may set: a flow format, with a warning for unknown names. */
MUST_CHECK bool option_format(struct format **format, const char *value, const char *where,
			      char why[WHY_ROOM]);
MUST_CHECK bool option_domain(uint32_t *domain, const char *value, char why[WHY_ROOM]);

#endif
