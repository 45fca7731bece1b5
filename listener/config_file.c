/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: one JSON object, held to the same strict grammar as payloads, then read
 * through cJSON. Values go through the setters of the command line, so both take the same and say
 * the same of a mistake.
 */
#include "config_file.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "decode/json.h"
#include "options.h"

enum { FILE_LIMIT = 1024 * 1024, NUMBER_ROOM = 32 };

struct place {
	const char *path;
	const char *key;
};

static bool mistake(const struct place *at, const char *why)
{
	char key[LOG_ESCAPED];
	log_error("config", "%s file=%s key=\"%s\"", why, at->path,
		  log_escape(slice_text(at->key), key));
	return false;
}

/* A string, or a whole number as text. */
static const char *text_of(const cJSON *value, char room[NUMBER_ROOM])
{
	if (cJSON_IsString(value))
		return value->valuestring;
	double n = cJSON_IsNumber(value) ? value->valuedouble : -1;
	if (n < 0 || n > 9007199254740992.0 || n != (double)(uint64_t)n)
		return NULL;
	(void)snprintf(room, NUMBER_ROOM, "%llu", (unsigned long long)n);
	return room;
}

static bool set_value(struct config *c, const struct option_row *row, const cJSON *value,
		      const struct place *at)
{
	char room[NUMBER_ROOM];
	char why[WHY_ROOM] = "";
	if (row->form == OPTION_FLAG) {
		if (!cJSON_IsBool(value))
			return mistake(at, "neither true nor false");
		return cJSON_IsFalse(value) || row->set(c, NULL, why) || mistake(at, why);
	}
	const char *text = text_of(value, room);
	if (text == NULL)
		return mistake(at, "neither text nor a whole number");
	if (row->set(c, text, why))
		return true;
	(void)mistake(at, why);
	if (row->show != NULL)
		row->show(text);
	return false;
}

static bool set_option(struct config *c, const cJSON *value, const struct place *at)
{
	const struct option_row *row = option_by_name(at->key);
	if (row == NULL || row->line_only)
		return mistake(at, "no such option");
	if (!cJSON_IsArray(value))
		return set_value(c, row, value, at);
	if (row->form != OPTION_REPEAT)
		return mistake(at, "a list where one value is expected");
	const cJSON *element;
	cJSON_ArrayForEach(element, value)
		if (!set_value(c, row, element, at))
			return false;
	return true;
}

/* ---- sources --------------------------------------------------------------------------------- */

static bool set_pattern(char **pattern, const char *text, char why[WHY_ROOM])
{
	free(*pattern);
	*pattern = strdup(text);
	return *pattern != NULL || option_wrong(why, "out of memory");
}

static bool set_rule(struct source_rule *r, const char *key, const char *text, char why[WHY_ROOM])
{
	if (strcmp(key, "log-group") == 0)
		return set_pattern(&r->group, text, why);
	if (strcmp(key, "account") == 0)
		return set_pattern(&r->account, text, why);
	if (strcmp(key, "vpc") == 0)
		return set_pattern(&r->vpc, text, why);
	if (strcmp(key, "interface") == 0)
		return set_pattern(&r->interface, text, why);
	if (strcmp(key, "flow-format") == 0)
		return option_format(&r->format, text, "sources", why);
	if (strcmp(key, "exporter") == 0) {
		r->has_exporter = true;
		return source_set_exporter(&r->source, slice_text(text)) ||
		       option_wrong(why, "not an IPv4 or IPv6 address");
	}
	if (strcmp(key, "domain") == 0) {
		r->has_domain = true;
		return option_domain(&r->source.domain, text, why);
	}
	return option_wrong(why, "no such key of a source: there are log-group, account, vpc, "
				 "interface, flow-format, exporter, domain");
}

static bool check_rule(const struct source_rule *r, const struct place *at)
{
	if (r->format != NULL && (r->vpc != NULL || r->interface != NULL))
		return mistake(at, "a flow-format can depend on log-group and account only: a "
				   "record cannot be read before its format is known");
	if (r->format == NULL && !r->has_exporter && !r->has_domain)
		return mistake(at, "a source that gives no flow-format, exporter or domain");
	return true;
}

static bool read_rule(struct source_rule *r, const cJSON *object, const struct place *at)
{
	const cJSON *value;
	if (!cJSON_IsObject(object))
		return mistake(at, "a source that is no object");
	cJSON_ArrayForEach(value, object) {
		char room[NUMBER_ROOM];
		char why[WHY_ROOM] = "";
		const struct place here = { at->path, value->string };
		const char *text = text_of(value, room);
		if (text == NULL)
			return mistake(&here, "neither text nor a whole number");
		if (!set_rule(r, value->string, text, why))
			return mistake(&here, why);
	}
	return check_rule(r, at);
}

static bool read_sources(struct sources *s, const cJSON *array, const struct place *at)
{
	if (!cJSON_IsArray(array))
		return mistake(at, "not a list");
	size_t count = (size_t)cJSON_GetArraySize(array);
	struct source_rule *rules = calloc(count + 1, sizeof(*rules));
	if (rules == NULL)
		return mistake(at, "out of memory");
	s->rules = rules;
	const cJSON *object;
	cJSON_ArrayForEach(object, array) {
		/* Counted first, so that a half-read one is freed with the rest. */
		s->count++;
		if (!read_rule(&s->rules[s->count - 1], object, at))
			return false;
	}
	return true;
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool read_members(struct config *c, const cJSON *root, const char *path)
{
	const cJSON *value;
	cJSON_ArrayForEach(value, root) {
		const struct place at = { path, value->string };
		bool ok;
		if (strcmp(value->string, "sources") != 0)
			ok = set_option(c, value, &at);
		else if (c->sources.rules != NULL)
			ok = mistake(&at, "a second time");
		else
			ok = read_sources(&c->sources, value, &at);
		if (!ok)
			return false;
	}
	return true;
}

static bool read_text(struct buf *text, const char *path)
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		log_error("config", "cannot read option=\"--config %s\" error=\"%s\"", path,
			  strerror(errno));
		return false;
	}
	buf_init(text, FILE_LIMIT);
	bool ok = buf_reserve(text, FILE_LIMIT);
	if (ok)
		text->len = fread(text->data, 1, FILE_LIMIT, file);
	ok = ok && !ferror(file) && text->len < FILE_LIMIT;
	(void)fclose(file);
	if (!ok)
		log_error("config", "cannot read, or larger than 1 MiB option=\"--config %s\"",
			  path);
	return ok;
}

static size_t line_of(struct slice text, size_t offset)
{
	size_t line = 1;
	for (size_t i = 0; i < offset && i < text.len; i++)
		line += text.data[i] == '\n';
	return line;
}

/* Strictly one object: cJSON itself would take more than JSON allows. */
static bool check_text(struct slice text, const char *path)
{
	struct json_scan scan;
	struct fault fault = { .code = FAULT_JSON_CUT, .offset = text.len };
	size_t used = 0;
	json_scan_init(&scan, JSON_DEPTH_LIMIT);
	enum step step = json_scan(&scan, text, &used, &fault);
	if (step == STEP_OK && json_is_object(text, JSON_DEPTH_LIMIT))
		return true;
	if (step == STEP_OK) {
		fault.code = FAULT_JSON;
		fault.offset = used;
	}
	log_error("config", "%s file=%s line=%zu", fault_text(fault.code), path,
		  line_of(text, fault.offset));
	return false;
}

bool config_file_load(struct config *c, const char *path)
{
	struct buf text = { .data = NULL };
	bool ok = read_text(&text, path) && check_text(buf_slice(&text), path);
	if (ok) {
		cJSON *root = cJSON_ParseWithLengthOpts(text.data, text.len, NULL, 0);
		if (root == NULL)
			log_error("config", "invalid JSON file=%s", path);
		ok = root != NULL && read_members(c, root, path);
		cJSON_Delete(root);
	}
	buf_deinit(&text);
	return ok;
}
