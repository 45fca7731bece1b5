/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves what command line and configuration file may say: good values by the fields of struct
 * config, bad ones by being refused (the log says why; it goes to /dev/null here), the command line
 * over the file, and "sources".
 */
#include "support.h"

#include "config.h"
#include "options.h"

enum { WORDS = 24 };

/* A command line as text, words separated by spaces; '_' in a word stands for a space. */
struct line {
	char text[4096];
	char *word[WORDS + 2];
	int words;
};

static void split(struct line *l, const char *text)
{
	*l = (struct line){ .words = 1 };
	l->word[0] = l->text;
	(void)snprintf(l->text, sizeof(l->text), "vpcflowd %s", text);
	char *rest = l->text;
	for (l->words = 0; rest != NULL && l->words < WORDS; l->words++) {
		char *word = strsep(&rest, " ");
		for (char *p = word; *p != '\0'; p++)
			*p = *p == '_' ? ' ' : *p;
		l->word[l->words] = word;
	}
	assert_null(rest);
	if (l->words > 1 && *l->word[l->words - 1] == '\0' && text[0] == '\0')
		l->words--;
	l->word[l->words] = NULL;
}

/* The configuration, or NULL when it was refused; silent. */
static struct config *load(struct line *l)
{
	struct config *c = NULL;
	int saved = stderr_redirect("/dev/null");
	bool ok = config_load(&c, l->words, l->word);
	stderr_restore(saved);
	return ok ? c : NULL;
}

static void add_formatted(struct buf *to, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_formatted(struct buf *to, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	add_text(to, text);
}

static void add_format(struct buf *to, const char *what, const struct format *f)
{
	if (f == NULL)
		return;
	add_formatted(to, " %s=", what);
	for (unsigned i = 0; i < f->count; i++) {
		struct slice name = format_column_name(f, i);
		add_formatted(to, "%s%.*s", i == 0 ? "" : ",", (int)name.len, name.data);
	}
}

static void describe_output(const struct output_config *o, struct buf *to)
{
	const char *const kinds[] = {
		[DESTINATION_STDOUT] = "-", [DESTINATION_FILE] = "",	[DESTINATION_TCP] = "tcp ",
		[DESTINATION_TLS] = "tls ", [DESTINATION_UDP] = "udp ",
	};
	const struct destination *d = &o->destination;
	if (o->encoder.class == &encoder_ftsq && d->kind == DESTINATION_STDOUT)
		return;
	add_formatted(to, " output=%s>%s%s%s%s", o->encoder.class->name, kinds[d->kind],
		      d->path == NULL ? "" : d->path, d->port[0] == '\0' ? "" : " ", d->port);
}

/* What differs from the defaults, as text. */
static const char *describe(const struct config *c, struct buf *to)
{
	const struct limits standard = limits_standard();
	for (size_t i = 0; i < c->listens; i++)
		if (!c->listen[i].standard)
			add_formatted(to, " listen=%s/%u", c->listen[i].host, c->listen[i].port);
	for (size_t i = 0; i < c->outputs; i++)
		describe_output(&c->output[i], to);
	if (c->packet_addresses)
		add_formatted(to, " packet-addresses");
	if (c->aws_elements != 0)
		add_formatted(to, " aws=%u", c->aws_elements);
	add_format(to, "sums", c->sums.format);
	if (c->sums.top != 0)
		add_formatted(to, " top=%llu", (unsigned long long)c->sums.top);
	if (c->sums.has_order)
		add_formatted(to, " by=%s", wanted_order(&c->sums));
	if (strcmp(c->sources.standard.exporter, "127.0.0.1") != 0)
		add_formatted(to, " exporter=%s", c->sources.standard.exporter);
	if (c->workers != 1)
		add_formatted(to, " workers=%u", c->workers);
	if (c->sources.standard.domain != 1)
		add_formatted(to, " domain=%u", c->sources.standard.domain);
	if (c->sources.format != NULL && c->sources.format->count != 14)
		add_format(to, "format", c->sources.format);
	add_format(to, "fields", c->fields);
	if (c->filter != NULL)
		add_formatted(to, " filter=%.*s", (int)filter_text(c->filter).len,
			      filter_text(c->filter).data);
	for (size_t i = 0; i < c->allows; i++)
		add_formatted(to, " allow=v%u/%u", c->allow[i].base.version, c->allow[i].bits);
	for (size_t i = 0; i < c->files; i++)
		add_formatted(to, " file=%s", c->file[i]);
	if (c->ready_file != NULL)
		add_formatted(to, " ready=%s", c->ready_file);
	if (c->tokens.count > 0)
		add_formatted(to, " tokens=%zu", c->tokens.count);
	if (c->log_level != LOG_INFO)
		add_formatted(to, " log=%d", (int)c->log_level);
	if (c->task != TASK_RUN)
		add_formatted(to, " task=%s",
			      c->task == TASK_CHECK  ? "check"
			      : c->task == TASK_HELP ? "help"
						     : "version");
#define X(member, option, unit, by_default, least, greatest, why)                                  \
	if (c->limits.member != standard.member)                                                   \
		add_formatted(to, " " option "=%llu", (unsigned long long)c->limits.member);
	LIMITS(X)
#undef X
	assert_true(buf_add(to, "", 1));
	return to->data[0] == ' ' ? to->data + 1 : to->data;
}

/* ---- the command line ----------------------------------------------------------------------- */

static const struct {
	const char *line;
	const char *says;
} good[] = {
	{ "", "" },
	{ "-l 127.0.0.1:20555", "listen=127.0.0.1/20555" },
	{ "--listen 127.0.0.1:0 --listen=[::1]:65535", "listen=127.0.0.1/0 listen=::1/65535" },
	{ "-l :80 -l [::]:81", "listen=::/80 listen=::/81" },
	{ "-o csv", "output=csv>-" },
	{ "-o csv:-", "output=csv>-" },
	{ "-o json:/tmp/x:y", "output=json>/tmp/x:y" },
	{ "--output ftsq --output csv:a --output json:b --output ipfix-csv:c",
	  "output=csv>a output=json>b output=ipfix-csv>c" },
	{ "-o ipfix:f -o ipfix", "output=ipfix>f output=ipfix>-" },
	{ "-o ipfix:udp://collector.example:4739", "output=ipfix>udp collector.example 4739" },
	{ "-o ipfix:tcp://[2001:db8::1]:1 -o csv:tcp://10.0.0.1:65535",
	  "output=ipfix>tcp 2001:db8::1 1 output=csv>tcp 10.0.0.1 65535" },
	{ "--handshake-timeout 3", "handshake-timeout=3" },
	{ "-o csv:tls://a:1 -o csv:tcp://a:1", "output=csv>tls a 1 output=csv>tcp a 1" },
	{ "-o ipfix:udp://a:1 -o ipfix:udp://a:2 -o ipfix:tcp://a:1",
	  "output=ipfix>udp a 1 output=ipfix>udp a 2 output=ipfix>tcp a 1" },
	{ "--packet-addresses --aws-elements 4294967295", "packet-addresses aws=4294967295" },
	{ "--mtu 576 --udp-rate 50000 --template-refresh 1 --template-messages 9",
	  "mtu=576 udp-rate=50000 template-refresh=1 template-messages=9" },
	{ "--reconnect-max 1", "reconnect-max=1" },
	{ "-x 10.1.2.3", "exporter=10.1.2.3" },
	{ "--exporter 2001:db8::1", "exporter=2001:db8::1" },
	{ "-x 10.1.2.3 -x 10.1.2.4", "exporter=10.1.2.4" },
	{ "-d 4294967295", "domain=4294967295" },
	{ "--domain=7", "domain=7" },
	{ "-f ${srcaddr}_${dstaddr}", "format=srcaddr,dstaddr" },
	{ "-f default", "" },
	{ "--flow-format srcaddr,new-one", "format=srcaddr,new-one" },
	{ "--fields srcaddr,bytes", "fields=srcaddr,bytes" },
	{ "--filter port_=_22_or_not_(bytes_>_1)", "filter=port = 22 or not (bytes > 1)" },
	{ "--filter bytes>1 --filter bytes>2", "filter=bytes>2" },
	{ "--allow 10.0.0.0/8 --allow ::1", "allow=v4/8 allow=v6/128" },
	{ "--read a b -", "file=a file=b file=-" },
	{ "a --read b", "file=a file=b" },
	{ "--read -- -v", "file=-v" },
	{ "--ready-file r", "ready=r" },
	{ "-v", "log=3" },
	{ "-q", "log=0" },
	{ "--check-config", "task=check" },
	{ "--help", "task=help" },
	{ "-h", "task=help" },
	{ "-V", "task=version" },
	{ "-V -h --check-config", "task=help" },
	{ "--check-config -V", "task=version" },
	{ "--max-payload 1024", "max-payload=1024" },
	{ "--max-payload 1K", "max-payload=1024" },
	{ "--max-payload 1G", "max-payload=1073741824" },
	{ "--max-inflated 4G", "max-inflated=4294967296" },
	{ "--max-inflated 2M", "max-inflated=2097152" },
	{ "--max-in-flight 64G", "max-in-flight=68719476736" },
	{ "--max-ratio 1100 --max-depth 64 --max-nesting 8 --max-columns 1",
	  "max-ratio=1100 max-depth=64 max-nesting=8 max-columns=1" },
	{ "--first-byte-timeout 1 --payload-timeout 86400 --idle-timeout 5 --drain-timeout 3600",
	  "first-byte-timeout=1 payload-timeout=86400 idle-timeout=5 drain-timeout=3600" },
	{ "--max-connections 1000000", "max-connections=1000000" },
	{ "-w 2", "workers=2" },
	{ "--aggregate vpc-id,action --read a",
	  "output=csv>- sums=vpc-id,action,packets,bytes,flows,start,end file=a" },
	{ "--aggregate srcaddr --aggregate dstaddr_srcaddr --top 5 --top 4294967295 --by packets "
	  "-o ftsq --read a",
	  "sums=dstaddr,srcaddr,packets,bytes,flows,start,end top=4294967295 by=packets file=a" },
	{ "--aggregate action --fields flows,action --aggregate-memory 16G --read a",
	  "output=csv>- sums=action,packets,bytes,flows,start,end fields=flows,action file=a "
	  "aggregate-memory=17179869184" },
	{ "--workers 64 --max-connections 64", "workers=64 max-connections=64" },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		static struct line l;
		struct buf says;
		split(&l, good[i].line);
		struct config *c = load(&l);
		if (c == NULL)
			fail_msg("%s: refused", good[i].line);
		buf_init(&says, 1 << 16);
		if (strcmp(describe(c, &says), good[i].says) != 0)
			fail_msg("%s: %s", good[i].line, says.data);
		buf_deinit(&says);
		config_release(c);
	}
}

static const char *const bad[] = {
	"--no-such-option",
	"--filter",
	"--filter ",
	"--filter bytes",
	"--filter bytes>1 --filter colour=1",
	"-Z",
	"--listen",
	"--verbose=yes",
	"a",
	"--read",
	"-l 20555",
	"-l 127.0.0.1",
	"-l 127.0.0.1:",
	"-l 127.0.0.1:65536",
	"-l 127.0.0.1:-1",
	"-l 127.0.0.1:1x",
	"-l 127.0.0.1:_1",
	"-l localhost:80",
	"-l ::1:80",
	"-l [::1:80",
	"-l ::1]:80",
	"-l [::1]80",
	"-l []:80",
	"-l 127.0.0.256:80",
	"-l *:80",
	"-o",
	"-o xml",
	"-o CSV",
	"-o csv:",
	"-o :file",
	"-o csv -o json",
	"-o csv:a -o json:a",
	"-o ftsq:- -o csv",
	"-o ftsq:udp://a:1",
	"-o csv:ssl://a:1",
	"-o ipfix:tls://a",
	"-o ipfix:tls://a:1 --tls-ca /nonexistent",
	"-o ipfix:tls://a:1 --tls-output-cert /nonexistent",
	"-o ipfix:tls://a:1 --tls-output-key /nonexistent",
	"-o ipfix:tls://a:1 --tls-output-cert /dev/null --tls-output-key /dev/null",
	"--tls-cert /dev/null",
	"--tls-key /dev/null",
	"--tls-client-ca /dev/null",
	"--tls-cert /dev/null --tls-key /dev/null",
	"--handshake-timeout 0",
	"-o ipfix:tcp://a",
	"-o ipfix:tcp://a:0",
	"-o ipfix:tcp://a:65536",
	"-o ipfix:tcp://:1",
	"-o ipfix:tcp://::1:1",
	"-o ipfix:udp://a:b",
	"-o ipfix:udp://a/b:1",
	"-o ipfix:udp://a:1 -o ipfix:udp://a:1",
	"--aws-elements 0",
	"--aws-elements 29305",
	"--aws-elements 4294967296",
	"--mtu 575",
	"--mtu 65508",
	"-o ipfix:udp://a:1 --aws-elements 1 --mtu 580",
	"--udp-rate -1",
	"--reconnect-max 0",
	"--aggregate srcaddr",
	"--aggregate srcadr --read a",
	"--aggregate srcaddr,end --read a",
	"--aggregate srcaddr --aggregate _ --read a",
	"--aggregate srcaddr -o ipfix --read a",
	"--aggregate srcaddr --fields dstaddr --read a",
	"--aggregate srcaddr --top 0 --read a",
	"--aggregate srcaddr --top 4294967296 --read a",
	"--aggregate srcaddr --by Bytes --read a",
	"--aggregate srcaddr --aggregate-memory 1023K --read a",
	"--top 1 --read a",
	"--by bytes --read a",
	"-x localhost",
	"-x 10.0.0.0/8",
	"-x 10.0.0",
	"-x fe80::1%eth0",
	"-d 0",
	"-d 4294967296",
	"-d -1",
	"-d 1x",
	"-d 1.0",
	"-f ${srcaddr}_${srcaddr}",
	"-f ${srcaddr",
	"-f _",
	"-f 1,2",
	"--fields srcaddr,srcaddr",
	"--fields ,",
	"--fields src.addr",
	"--allow 10.0.0.0/33",
	"--allow all",
	"--max-payload 1023",
	"--max-payload 1025M",
	"--max-payload 1k",
	"--max-payload 1KB",
	"--max-payload K",
	"--max-payload -1",
	"--max-payload 0x400",
	"--max-payload 18446744073709551616",
	"--max-payload 4294967295G",
	"--max-in-flight 65G",
	"--max-ratio 0",
	"--max-ratio 1101",
	"--max-ratio 1K",
	"--max-depth 65",
	"--max-depth 2",
	"--max-nesting 0",
	"--max-nesting 9",
	"--max-columns 129",
	"--max-columns 0",
	"--max-connections 0",
	"--idle-timeout 0",
	"--idle-timeout 86401",
	"--idle-timeout 5s",
	"--token-file /nonexistent",
	"--token-file /dev/null",
	"--config /nonexistent",
	"--config /dev/null",
	"--config /tmp",
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		static struct line l;
		split(&l, bad[i]);
		struct config *c = load(&l);
		if (c != NULL)
			fail_msg("%s: taken", bad[i]);
	}
	static struct line empty;
	static const char *const options[] = { "--listen", "--output",	    "--exporter",
					       "--domain", "--flow-format", "--fields",
					       "--allow",  "--token-file",  "--ready-file",
					       "--config", "--max-payload", "--max-ratio" };
	for (size_t i = 0; i < COUNT_OF(options); i++) {
		split(&empty, options[i]);
		empty.word[empty.words++] = (char[]){ "" };
		empty.word[empty.words] = NULL;
		if (load(&empty) != NULL)
			fail_msg("%s \"\": taken", options[i]);
	}
}

static void test_repeats(void **state)
{
	(void)state;
	char text[4096];
	for (unsigned count = LISTEN_LIMIT; count <= LISTEN_LIMIT + 1; count++) {
		size_t len = 0;
		static struct line l;
		text[0] = '\0';
		for (unsigned i = 0; i < count; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s-l:%u",
						i == 0 ? "" : " ", i);
		split(&l, text);
		struct config *c = load(&l);
		assert_int_equal(c != NULL, count == LISTEN_LIMIT);
		config_release(c);
		len = 0;
		for (unsigned i = 0; i < count; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s-ocsv:%u",
						i == 0 ? "" : " ", i);
		split(&l, text);
		c = load(&l);
		assert_int_equal(c != NULL, count == OUTPUT_LIMIT);
		config_release(c);
	}
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Loads with --config FILE in front of the rest of the line. */
static struct config *load_file(struct slice text, const char *rest)
{
	char path[TEMP_PATH];
	char words[1024];
	static struct line l;
	temp_file(path, text);
	(void)snprintf(words, sizeof(words), "--config %s%s%s", path, *rest == '\0' ? "" : " ",
		       rest);
	split(&l, words);
	struct config *c = load(&l);
	unlink(path);
	return c;
}

static const struct {
	const char *file;
	const char *line;
	const char *says;
} good_files[] = {
	{ "{}", "", "" },
	{ " \n{ }\n", "", "" },
	{ "{\"domain\": 7, \"exporter\": \"10.0.0.1\"}", "", "exporter=10.0.0.1 domain=7" },
	{ "{\"domain\": \"7\"}", "", "domain=7" },
	{ "{\"filter\": \"bytes > 1\"}", "", "filter=bytes > 1" },
	{ "{\"filter\": \"bytes > 1\"}", "--filter bytes>2", "filter=bytes>2" },
	{ "{\"domain\": 7}", "-d 8", "domain=8" },
	{ "{\"max-payload\": \"2K\", \"max-depth\": 9}", "", "max-payload=2048 max-depth=9" },
	{ "{\"max-payload\": 2048}", "--max-payload 4K", "max-payload=4096" },
	{ "{\"max-inflated\": 4294967295}", "", "max-inflated=4294967295" },
	{ "{\"listen\": \"127.0.0.1:1\"}", "", "listen=127.0.0.1/1" },
	{ "{\"listen\": [\"127.0.0.1:1\", \"[::1]:2\"]}", "", "listen=127.0.0.1/1 listen=::1/2" },
	{ "{\"listen\": [\"127.0.0.1:1\", \"[::1]:2\"]}", "-l :3 -l :4",
	  "listen=::/3 listen=::/4" },
	{ "{\"listen\": []}", "", "" },
	{ "{\"output\": [\"csv:a\", \"json\"]}", "", "output=csv>a output=json>-" },
	{ "{\"output\": [\"csv:a\", \"json\"]}", "-o csv:b", "output=csv>b" },
	{ "{\"allow\": [\"10.0.0.0/8\"]}", "--allow ::/0", "allow=v6/0" },
	{ "{\"verbose\": true}", "", "log=3" },
	{ "{\"verbose\": false}", "", "" },
	{ "{\"quiet\": true}", "-v", "log=3" },
	{ "{\"flow-format\": \"${srcaddr} ${end}\"}", "", "format=srcaddr,end" },
	{ "{\"flow-format\": \"${srcaddr} ${end}\"}", "-f bytes", "format=bytes" },
	{ "{\"fields\": \"srcaddr,end\"}", "", "fields=srcaddr,end" },
	{ "{\"sources\": []}", "", "" },
};

static void test_good_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good_files); i++) {
		struct buf says;
		struct config *c = load_file(slice_text(good_files[i].file), good_files[i].line);
		if (c == NULL)
			fail_msg("%s: refused", good_files[i].file);
		buf_init(&says, 1 << 16);
		if (strcmp(describe(c, &says), good_files[i].says) != 0)
			fail_msg("%s: %s", good_files[i].file, says.data);
		buf_deinit(&says);
		config_release(c);
	}
}

static const char *const bad_files[] = {
	"",
	" ",
	"[]",
	"[{}]",
	"7",
	"{",
	"{}{}",
	"{} x",
	"{\"domain\": 7,}",
	"{\"filter\": \"\"}",
	"{\"filter\": \"bytes\"}",
	"{\"filter\": [\"bytes > 1\", \"bytes > 2\"]}",
	"{domain: 7}",
	"{'domain': 7}",
	"// comment\n{}",
	"{/* comment */}",
	"{\"domain\": 07}",
	"{\"nothing\": 1}",
	"{\"Domain\": 7}",
	"{\"d\": 7}",
	"{\"domain\": 0}",
	"{\"domain\": -1}",
	"{\"domain\": 1.5}",
	"{\"domain\": 4294967296}",
	"{\"domain\": 1e300}",
	"{\"domain\": true}",
	"{\"domain\": null}",
	"{\"domain\": [7]}",
	"{\"domain\": {}}",
	"{\"listen\": [7]}",
	"{\"listen\": [[\"127.0.0.1:1\"]]}",
	"{\"listen\": [\"127.0.0.1:1\", null]}",
	"{\"verbose\": \"true\"}",
	"{\"verbose\": 1}",
	"{\"config\": \"x\"}",
	"{\"read\": true}",
	"{\"help\": true}",
	"{\"version\": true}",
	"{\"check-config\": true}",
	"{\"output\": [\"csv\", \"json\"]}",
	"{\"sources\": {}}",
	"{\"sources\": [7]}",
	"{\"sources\": [{}]}",
	"{\"sources\": [{\"log-group\": \"a\"}]}",
	"{\"sources\": [{\"domain\": 0}]}",
	"{\"sources\": [{\"exporter\": \"host\"}]}",
	"{\"sources\": [{\"exporter\": 7}]}",
	"{\"sources\": [{\"flow-format\": \"srcaddr srcaddr\"}]}",
	"{\"sources\": [{\"log-group\": null, \"domain\": 7}]}",
	"{\"sources\": [{\"log-group\": [\"a\"], \"domain\": 7}]}",
	"{\"sources\": [{\"colour\": \"red\", \"domain\": 7}]}",
	"{\"sources\": [{\"vpc\": \"vpc-1\", \"flow-format\": \"default\"}]}",
	"{\"sources\": [{\"interface\": \"eni-1\", \"flow-format\": \"default\"}]}",
	"{\"sources\": [{\"domain\": 7}, {\"domain\": 8, \"log-group\": {}}]}",
	"{\"sources\": [], \"sources\": []}",
};

static void test_bad_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad_files); i++)
		if (load_file(slice_text(bad_files[i]), "") != NULL)
			fail_msg("%s: taken", bad_files[i]);
	assert_null(load_file(SLICE_LITERAL("{\"domain\": 7}\0"), ""));
	assert_null(load_file(SLICE_LITERAL("{\"exporter\": \"10.0.0.1\0\"}"), ""));
}

static void test_sources(void **state)
{
	(void)state;
	struct config *c = load_file(
		SLICE_LITERAL("{\"sources\": [{\"log-group\": \"/vpc/prod*\", \"flow-format\": "
			      "\"${version} ${vpc-id}\", \"exporter\": \"10.0.0.1\", "
			      "\"domain\": 7},\n"
			      "{\"account\": \"123456789012\", \"exporter\": \"10.0.0.2\"},\n"
			      "{\"vpc\": \"vpc-0\", \"interface\": \"eni-*\", \"domain\": "
			      "\"9\"}]}"),
		"");
	assert_non_null(c);
	assert_int_equal(c->sources.count, 3);
	const struct source_rule *r = c->sources.rules;
	assert_string_equal(r[0].group, "/vpc/prod*");
	assert_int_equal(r[0].format->count, 2);
	assert_true(r[0].has_exporter && r[0].has_domain);
	assert_string_equal(r[0].source.exporter, "10.0.0.1");
	assert_int_equal(r[0].source.domain, 7);
	assert_null(r[0].account);
	assert_string_equal(r[1].account, "123456789012");
	assert_true(r[1].has_exporter && !r[1].has_domain && r[1].format == NULL);
	assert_string_equal(r[2].vpc, "vpc-0");
	assert_string_equal(r[2].interface, "eni-*");
	assert_true(!r[2].has_exporter && r[2].has_domain);
	assert_int_equal(r[2].source.domain, 9);
	/* The columns of outputs: the flow format's, then those that sources have beside them. */
	assert_int_equal(c->columns.count, 15);
	assert_int_equal(c->columns.column[14].field, FIELD_VPC_ID);
	assert_int_equal(c->columns.place[FIELD_VPC_ID], 14);
	config_release(c);
}

static void test_token_file(void **state)
{
	(void)state;
	char path[TEMP_PATH];
	char words[128];
	static struct line l;
	temp_file(path, SLICE_LITERAL("one\ntwo\n"));
	(void)snprintf(words, sizeof(words), "--token-file %s", path);
	split(&l, words);
	struct config *c = load(&l);
	unlink(path);
	assert_non_null(c);
	assert_int_equal(c->tokens.count, 2);
	assert_true(tokens_accept(&c->tokens, SLICE_LITERAL("two")));
	config_release(c);
}

/* Outputs of a listener and of --read differ in whether they wait. */
static void test_outputs(void **state)
{
	(void)state;
	static struct line l;
	split(&l, "-o csv:a --fields bytes");
	struct config *c = load(&l);
	assert_non_null(c);
	assert_ptr_equal(c->output[0].encoder.columns, c->fields);
	assert_string_equal(c->output[0].name, "csv:a");
	assert_false(c->columns_known);
	assert_ptr_equal(config_reference(c), c);
	config_release(c);
	assert_int_equal(c->outputs, 1);
	config_release(c);
	split(&l, "-f tgw");
	c = load(&l);
	assert_non_null(c);
	assert_true(c->columns_known);
	assert_int_equal(c->columns.count, 36);
	assert_int_equal(c->outputs, 1);
	assert_null(c->output[0].destination.path);
	assert_true(c->listen[0].standard);
	assert_string_equal(c->listen[0].host, "::");
	assert_int_equal(c->listen[0].port, 20555);
	config_release(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	   cmocka_unit_test(test_bad),
		cmocka_unit_test(test_repeats),	   cmocka_unit_test(test_good_files),
		cmocka_unit_test(test_bad_files),  cmocka_unit_test(test_sources),
		cmocka_unit_test(test_token_file), cmocka_unit_test(test_outputs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
