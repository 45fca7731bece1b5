/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one file that knows libfixbuf. It encodes to memory and never sees a socket, a flow, or more
 * of foreign octets than an interface's id and a log group's name. Two of its habits shape the code:
 * an append or template that finds the message full, or is the first of its kind, fails with
 * FB_ERROR_EOM and has to be tried again after the message was taken; and an emit of nothing leaves
 * the last message's length behind.
 *
 * Collectors shape the order: types before the template that needs them, and one Options Template a
 * Template Set, as nfcapd 1.7.1 reads only the first.
 */
#include "encode/announce.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fixbuf/public.h>
#include <stdlib.h>

struct announce_model {
	const struct encoder_settings *settings;
	const struct format *columns;
	fbInfoModel_t *elements;
	uint8_t *buffer; /* the message being made */
};

struct announcer {
	const struct announce_model *model;
	uint32_t domain;
	fBuf_t *fbuf; /* owns session and exporter */
	fbSession_t *session;
	fbExporter_t *exporter;
	unsigned records;  /* in it */
	bool begun;	   /* something is in it */
	bool options_last; /* an Options Template was the last that went in */
	struct messages *to;
	bool failed;
};

/* ---- the records of options: each as its template has it, without gaps ----------------------- */

struct sampling_record {
	uint32_t domain;
	uint32_t interval;
};

struct exporter_v4_record {
	uint32_t domain;
	uint32_t address; /* in the order of this machine: libfixbuf turns it */
};

struct exporter_v6_record {
	uint32_t domain;
	uint8_t address[16];
};

struct domain_record {
	uint32_t domain;
	char name[DOMAIN_NAME_ROOM];
};

struct interface_record {
	uint32_t domain;
	uint32_t number;
	char name[NAME_ROOM];
};

struct loss_record {
	uint32_t domain;
	uint8_t padding[4];
	uint64_t flows;
	uint64_t packets;
	uint64_t octets;
};

/* Flag 1: in the record in memory, and not on the wire. */
#define SCOPE	"observationDomainId", 4, 0
#define PADDING "paddingOctets", 4, 1

static const fbInfoElementSpec_t sampling_spec[] = {
	{ SCOPE },
	{ "samplingInterval", 4, 0 },
	FB_IESPEC_NULL,
};

static const fbInfoElementSpec_t exporter_v4_spec[] = {
	{ SCOPE },
	{ "exporterIPv4Address", 4, 0 },
	FB_IESPEC_NULL,
};

static const fbInfoElementSpec_t exporter_v6_spec[] = {
	{ SCOPE },
	{ "exporterIPv6Address", 16, 0 },
	FB_IESPEC_NULL,
};

static const fbInfoElementSpec_t domain_spec[] = {
	{ SCOPE },
	{ "observationDomainName", DOMAIN_NAME_ROOM, 0 },
	FB_IESPEC_NULL,
};

/* Exactly these, the text of fixed length: else nfcapd 1.7.1 does not take the name. */
static const fbInfoElementSpec_t interface_spec[] = {
	{ SCOPE },
	{ "ingressInterface", 4, 0 },
	{ "interfaceDescription", NAME_ROOM, 0 },
	FB_IESPEC_NULL,
};

/*
 * RFC 7011 section 4.3, the Exporting Process Reliability Statistics. They are counted for each
 * domain, and so the domain is their scope.
 */
static const fbInfoElementSpec_t loss_spec[] = {
	{ SCOPE },
	{ PADDING },
	{ "notSentFlowTotalCount", 8, 0 },
	{ "notSentPacketTotalCount", 8, 0 },
	{ "notSentOctetTotalCount", 8, 0 },
	FB_IESPEC_NULL,
};

/* RFC 5610 section 3.9; ipfixDump wants all of them. The scope is the first two. */
static const fbInfoElementSpec_t type_spec[] = {
	{ "privateEnterpriseNumber", 4, 0 },
	{ "informationElementId", 2, 0 },
	{ "informationElementDataType", 1, 0 },
	{ "informationElementSemantics", 1, 0 },
	{ "informationElementUnits", 2, 0 },
	{ "paddingOctets", 6, 1 },
	{ "informationElementRangeBegin", 8, 0 },
	{ "informationElementRangeEnd", 8, 0 },
	{ "informationElementName", FB_IE_VARLEN, 0 },
	{ "informationElementDescription", FB_IE_VARLEN, 0 },
	FB_IESPEC_NULL,
};

/* ---- AWS's own elements ---------------------------------------------------------------------- */

enum { AWS_NAME_ROOM = 48 };

bool announce_has_field(const struct format *columns, enum field field)
{
	return columns->place[field] >= 0 && field_element(field) != 0;
}

/* vpc-id: awsVpcId. */
static void aws_name(enum field field, char name[AWS_NAME_ROOM])
{
	struct slice words = field_name(field);
	size_t len = 0;
	bool upper = true;
	memcpy(name, "aws", 3);
	for (size_t i = 0; i < words.len && 3 + len + 1 < AWS_NAME_ROOM; i++) {
		char c = words.data[i];
		if (c != '-')
			name[3 + len++] = (char)(upper ? toupper((unsigned char)c) : c);
		upper = c == '-';
	}
	name[3 + len] = '\0';
}

static fbInfoElement_t aws_element(enum field field, uint32_t enterprise,
				   const char name[AWS_NAME_ROOM])
{
	bool quantity = field_kind(field) == FIELD_U64;
	fbInfoElement_t element = FB_IE_INIT_FULL(
		name, enterprise, field_element(field), quantity ? 8 : FB_IE_VARLEN,
		quantity ? FB_IE_F_ENDIAN | FB_IE_DELTACOUNTER | FB_UNITS_PACKETS : FB_IE_DEFAULT,
		0, 0, quantity ? FB_UINT_64 : FB_STRING, (char *)(uintptr_t)field_name(field).data);
	return element;
}

static void add_aws_elements(struct announce_model *m)
{
	for (enum field field = 0; field < FIELD_COUNT; field++) {
		char name[AWS_NAME_ROOM];
		if (field_element(field) == 0)
			continue;
		aws_name(field, name);
		fbInfoElement_t element = aws_element(field, m->settings->aws_elements, name);
		fbInfoModelAddElement(m->elements, &element);
	}
}

/* ---- templates ------------------------------------------------------------------------------- */

/* Adds a template in one of its two forms: as on the wire (external), or as in memory. */
static bool add_template(struct announcer *a, uint16_t id, fbTemplate_t *template, bool internal)
{
	GError *error = NULL;
	if (fbSessionAddTemplate(a->session, internal, id, template, &error) != 0)
		return true;
	g_clear_error(&error);
	return false;
}

static bool append(fbTemplate_t *template, const char *name, uint16_t octets)
{
	GError *error = NULL;
	fbInfoElementSpec_t spec = { (char *)(uintptr_t)name, octets, 0 };
	if (fbTemplateAppendSpec(template, &spec, 0, &error))
		return true;
	g_clear_error(&error);
	return false;
}

static bool add_flow_template(struct announcer *a, unsigned variant)
{
	fbTemplate_t *template = fbTemplateAlloc(a->model->elements);
	bool ok = true;
	for (enum element e = 0; e < ELEMENT_COUNT; e++)
		if (element_in(e, variant, a->model->settings->sums))
			ok = ok &&
			     append(template, element_info[e].name.data, element_info[e].octets);
	for (enum field f = 0; a->model->settings->aws_elements != 0 && f < FIELD_COUNT; f++) {
		char name[AWS_NAME_ROOM];
		if (!announce_has_field(a->model->columns, f))
			continue;
		aws_name(f, name);
		ok = ok && append(template, name, 0);
	}
	return ok && add_template(a, (uint16_t)(TEMPLATE_FLOW + variant), template, false);
}

/* Adds an Options Template in both forms. */
static bool add_options(struct announcer *a, uint16_t id, const fbInfoElementSpec_t *spec,
			uint16_t scope)
{
	for (unsigned internal = 0; internal < 2; internal++) {
		GError *error = NULL;
		fbTemplate_t *template = fbTemplateAlloc(a->model->elements);
		fbInfoElementSpec_t *copy = (fbInfoElementSpec_t *)(uintptr_t)spec;
		bool ok = fbTemplateAppendSpecArray(template, copy, internal, &error);
		g_clear_error(&error);
		fbTemplateSetOptionsScope(template, scope);
		if (!ok || !add_template(a, id, template, internal))
			return false;
	}
	return true;
}

static bool add_templates(struct announcer *a)
{
	bool ok = true;
	for (unsigned variant = 0; variant < VARIANT_COUNT; variant++)
		ok = ok && add_flow_template(a, variant);
	return ok && add_options(a, TEMPLATE_SAMPLING, sampling_spec, 1) &&
	       add_options(a, TEMPLATE_EXPORTER_V4, exporter_v4_spec, 1) &&
	       add_options(a, TEMPLATE_EXPORTER_V6, exporter_v6_spec, 1) &&
	       add_options(a, TEMPLATE_DOMAIN, domain_spec, 1) &&
	       add_options(a, TEMPLATE_INTERFACE, interface_spec, 1) &&
	       add_options(a, TEMPLATE_LOSS, loss_spec, 1) &&
	       add_options(a, TEMPLATE_TYPE, type_spec, 2);
}

/* ---- messages -------------------------------------------------------------------------------- */

enum { MESSAGE_HEADER = 16, SET_HEADER = 4 };

/*
 * The message's length without a set header that has nothing behind it: libfixbuf leaves one when a
 * template turns out not to fit, and a set has at least one record (RFC 7011 section 3.3).
 */
static size_t whole_sets(uint8_t *message, size_t len)
{
	size_t last = MESSAGE_HEADER;
	for (size_t at = MESSAGE_HEADER; at < len;) {
		last = at;
		at += (size_t)message[at + 2] << 8 | message[at + 3];
	}
	if (len - last != SET_HEADER)
		return len;
	message[2] = (uint8_t)(last >> 8);
	message[3] = (uint8_t)last;
	return last;
}

/* Takes the message that is being made, if there is something in it. */
static void take_message(struct announcer *a)
{
	GError *error = NULL;
	if (!a->begun || a->failed)
		return;
	a->begun = false;
	a->options_last = false;
	if (!fBufEmit(a->fbuf, &error)) {
		g_clear_error(&error);
		a->failed = true;
		return;
	}
	size_t len = whole_sets(a->model->buffer, fbExporterGetMsgLen(a->exporter));
	unsigned records = a->records;
	a->records = 0;
	if (len == MESSAGE_HEADER)
		return;
	struct message *m = malloc(sizeof(*m) + len);
	if (m == NULL) {
		a->failed = true;
		return;
	}
	m->len = len;
	m->records = records;
	memcpy(m->octets, a->model->buffer, len);
	STAILQ_INSERT_TAIL(a->to, m, link);
}

/* A template, or a record of the options that a template describes. */
struct item {
	uint16_t id;
	void *record; /* NULL: the template itself */
	size_t size;
};

enum outcome { DONE, FULL, FAILED };

static enum outcome put(struct announcer *a, const struct item *item)
{
	GError *error = NULL;
	bool ok;
	if (item->record == NULL)
		ok = fbSessionExportTemplate(a->session, item->id, &error);
	else
		ok = fBufSetInternalTemplate(a->fbuf, item->id, &error) &&
		     fBufSetExportTemplate(a->fbuf, item->id, &error) &&
		     fBufAppend(a->fbuf, item->record, item->size, &error);
	bool full = !ok && g_error_matches(error, FB_ERROR_DOMAIN, FB_ERROR_EOM);
	g_clear_error(&error);
	return ok ? DONE : full ? FULL : FAILED;
}

/* Puts it into this message, or into the next. */
static void put_somewhere(struct announcer *a, const struct item *item)
{
	enum { TRIES = 3 };
	enum outcome outcome = FULL;
	for (unsigned tries = 0; outcome == FULL && tries < TRIES && !a->failed; tries++) {
		outcome = put(a, item);
		if (outcome == FULL)
			take_message(a);
	}
	a->failed = a->failed || outcome != DONE;
	a->begun = true;
}

static void put_template(struct announcer *a, unsigned id, bool options)
{
	if (options && a->options_last)
		take_message(a);
	put_somewhere(a, &(struct item){ .id = (uint16_t)id });
	a->options_last = options;
}

static void put_record(struct announcer *a, unsigned id, void *record, size_t size)
{
	put_somewhere(a, &(struct item){ .id = (uint16_t)id, .record = record, .size = size });
	a->options_last = false;
	a->records++;
}

/* ---- topics ---------------------------------------------------------------------------------- */

static void tell_types(struct announcer *a)
{
	put_template(a, TEMPLATE_TYPE, true);
	for (enum field field = 0; field < FIELD_COUNT; field++) {
		if (!announce_has_field(a->model->columns, field))
			continue;
		const fbInfoElement_t *element = fbInfoModelGetElementByID(
			a->model->elements, field_element(field), a->model->settings->aws_elements);
		struct slice name = slice_text(element->ref.name);
		struct slice what = field_name(field);
		fbInfoElementOptRec_t record = {
			.ie_pen = element->ent,
			.ie_id = element->num,
			.ie_type = element->type,
			.ie_semantic = FB_IE_SEMANTIC(element->flags),
			.ie_units = (uint16_t)FB_IE_UNITS(element->flags),
			.ie_name = { name.len, (uint8_t *)(uintptr_t)name.data },
			.ie_desc = { what.len, (uint8_t *)(uintptr_t)what.data },
		};
		put_record(a, TEMPLATE_TYPE, &record, sizeof(record));
	}
}

/*
 * All of them. The Options Templates come between those of flows, so that no two share a set; where
 * that is not to be had a new message begins.
 */
static void tell_templates(struct announcer *a, uint32_t variants, const struct domain_facts *facts)
{
	const unsigned options[] = {
		TEMPLATE_SAMPLING,
		facts->exporter.version == 4 ? TEMPLATE_EXPORTER_V4 : TEMPLATE_EXPORTER_V6,
		TEMPLATE_DOMAIN,
		TEMPLATE_INTERFACE,
		TEMPLATE_LOSS,
	};
	size_t next = 0;
	for (unsigned variant = 0; variant < VARIANT_COUNT; variant++) {
		if ((variants >> variant & 1) == 0)
			continue;
		put_template(a, TEMPLATE_FLOW + variant, false);
		if (next < sizeof(options) / sizeof(*options))
			put_template(a, options[next++], true);
	}
	while (next < sizeof(options) / sizeof(*options))
		put_template(a, options[next++], true);
}

static void tell_domain(struct announcer *a, struct domain_facts *facts)
{
	/* Every flow is counted: nobody has to scale anything up. */
	struct sampling_record sampling = { .domain = a->domain, .interval = 1 };
	put_record(a, TEMPLATE_SAMPLING, &sampling, sizeof(sampling));
	if (facts->exporter.version == 4) {
		struct exporter_v4_record exporter = { .domain = a->domain };
		memcpy(&exporter.address, facts->exporter.octets, sizeof(exporter.address));
		exporter.address = ntohl(exporter.address);
		put_record(a, TEMPLATE_EXPORTER_V4, &exporter, sizeof(exporter));
	} else {
		struct exporter_v6_record exporter = { .domain = a->domain };
		memcpy(exporter.address, facts->exporter.octets, sizeof(exporter.address));
		put_record(a, TEMPLATE_EXPORTER_V6, &exporter, sizeof(exporter));
	}
	if (facts->name[0] == '\0')
		return;
	struct domain_record name = { .domain = a->domain };
	memcpy(name.name, facts->name, sizeof(name.name));
	put_record(a, TEMPLATE_DOMAIN, &name, sizeof(name));
}

static void tell_names(struct announcer *a, struct names *names)
{
	unsigned at = 0;
	struct name *name;
	while (!a->failed && (name = names_next(names, &at, true)) != NULL) {
		struct interface_record record = { .domain = a->domain, .number = name->number };
		memcpy(record.name, name->text, sizeof(record.name));
		put_record(a, TEMPLATE_INTERFACE, &record, sizeof(record));
		name->told = true;
	}
	names->untold = 0;
}

static void tell_loss(struct announcer *a, const struct tally *not_sent)
{
	struct loss_record record = {
		.domain = a->domain,
		.flows = not_sent->flows,
		.packets = not_sent->packets,
		.octets = not_sent->octets,
	};
	put_record(a, TEMPLATE_LOSS, &record, sizeof(record));
}

bool announce(struct announcer *a, unsigned topics, uint32_t variants, struct domain_facts *facts,
	      struct messages *to)
{
	a->to = to;
	a->failed = false;
	a->begun = false;
	a->records = 0;
	if (topics & TOPIC_TYPES && a->model->settings->aws_elements != 0)
		tell_types(a);
	if (topics & TOPIC_TEMPLATES)
		tell_templates(a, variants, facts);
	if (topics & TOPIC_DOMAIN)
		tell_domain(a, facts);
	if (topics & TOPIC_NAMES)
		tell_names(a, &facts->names);
	if (topics & TOPIC_LOSS)
		tell_loss(a, &facts->not_sent);
	take_message(a);
	return !a->failed;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

struct announce_model *announce_model_new(const struct encoder_settings *settings,
					  const struct format *columns)
{
	struct announce_model *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->settings = settings;
	m->columns = columns;
	m->buffer = malloc(settings->message_size);
	if (m->buffer == NULL) {
		free(m);
		return NULL;
	}
	m->elements = fbInfoModelAlloc();
	if (settings->aws_elements != 0)
		add_aws_elements(m);
	return m;
}

void announce_model_free(struct announce_model **m)
{
	struct announce_model *old = *m;
	if (old == NULL)
		return;
	*m = NULL;
	fbInfoModelFree(old->elements);
	free(old->buffer);
	free(old);
}

static bool make_session(struct announcer *a)
{
	const struct announce_model *m = a->model;
	a->session = fbSessionAlloc(m->elements);
	fbSessionSetDomain(a->session, a->domain);
	/* Before there is a buffer, so that nothing is exported yet. */
	if (!add_templates(a))
		return false;
	a->exporter = fbExporterAllocBuffer(m->buffer, (uint16_t)m->settings->message_size);
	a->fbuf = fBufAllocForExport(a->session, a->exporter);
	fBufSetAutomaticMode(a->fbuf, FALSE);
	return true;
}

struct announcer *announcer_new(struct announce_model *model, uint32_t domain)
{
	struct announcer *a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->model = model;
	a->domain = domain;
	if (!make_session(a))
		announcer_free(&a);
	return a;
}

void announcer_free(struct announcer **a)
{
	struct announcer *old = *a;
	if (old == NULL)
		return;
	*a = NULL;
	if (old->fbuf != NULL)
		fBufFree(old->fbuf);
	else if (old->session != NULL)
		fbSessionFree(old->session);
	free(old);
}

size_t announce_least_message(const struct encoder_settings *settings, const struct format *columns)
{
	enum { HEADERS = 16 + 4 + 4, SPECIFIER = 4, ENTERPRISE_SPECIFIER = 8 };
	size_t elements = 0;
	for (enum element e = 0; e < ELEMENT_COUNT; e++)
		elements += element_kept(e, settings->sums) ? SPECIFIER : 0;
	if (settings->aws_elements == 0)
		return HEADERS + elements;
	for (enum field field = 0; field < FIELD_COUNT; field++)
		if (announce_has_field(columns, field))
			elements += ENTERPRISE_SPECIFIER;
	return HEADERS + elements;
}
