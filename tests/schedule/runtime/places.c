/* SPDX-License-Identifier: MIT */
/*
 * Places in the program as text: addr2line(1) and nm(1), which are asked when something is printed.
 * The program is linked to fixed addresses (-no-pie), so that they need no correction.
 */
#define _GNU_SOURCE
#include "main.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACES_MAX 4096

static struct place {
	uintptr_t place;
	char text[120];
} * places; /* PLACES_MAX of them */
static unsigned int place_count;

static struct place *place_find(uintptr_t place)
{
	for (unsigned int i = 0; i < place_count; i++) {
		if (places[i].place == place)
			return &places[i];
	}
	return NULL;
}

static FILE *ask(const char *command)
{
	char exe[256], whole[sizeof(exe) + 100 + strlen(command)];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return NULL;
	exe[n] = '\0';
	snprintf(whole, sizeof(whole), command, exe);
	return popen(whole, "r");
}

/* One "file:line" more; inlined functions come first. */
static void add_line(struct place *p, const char *line)
{
	const size_t n = strlen(p->text);
	const char *note = strstr(line, " (discriminator");
	const int length = note ? (int)(note - line) : (int)strcspn(line, "\n");

	snprintf(p->text + n, sizeof(p->text) - n, "%s%.*s", n ? " < " : "", length, line);
}

static void read_places(FILE *in)
{
	struct place *p = NULL;
	char line[512];

	while (fgets(line, sizeof(line), in)) {
		if (!strncmp(line, "0x", 2)) {
			/* The call is in front of the return address. */
			p = place_find(strtoul(line, NULL, 16) + 1);
		} else if (p) {
			add_line(p, line);
		}
	}
}

void places_load(const uintptr_t *wanted, unsigned int n)
{
	char *command;
	size_t size;
	FILE *text = open_memstream(&command, &size), *in;
	unsigned int asked = 0;

	if (!places)
		places = lazy_memory(PLACES_MAX * sizeof(*places));
	fputs("addr2line -a -i -s -e '%s'", text);
	for (unsigned int i = 0; i < n && place_count < PLACES_MAX; i++) {
		if (!wanted[i] || place_find(wanted[i]))
			continue;
		places[place_count++] = (struct place){ .place = wanted[i] };
		fprintf(text, " 0x%lx", wanted[i] - 1);
		asked++;
	}
	fputs(" 2>&1", text);
	fclose(text);
	in = asked ? ask(command) : NULL;
	if (in) {
		read_places(in);
		pclose(in);
	}
	free(command);
}

const char *place_text(uintptr_t place)
{
	const struct place *p;

	places_load(&place, 1);
	p = place_find(place);
	return p && p->text[0] ? p->text : "?";
}

/* words: the symbol below the address ------------------------------------- */

static struct symbol {
	uintptr_t addr;
	char name[60];
} * symbols;
static unsigned int symbol_count;

static void load_symbols(void)
{
	FILE *in = ask("nm -n '%s' 2>/dev/null");
	struct symbol s;
	char line[512], kind;

	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%lx %c %59s", &s.addr, &kind, s.name) != 3 ||
		    !strchr("bBdDrR", kind))
			continue;
		if (!(symbol_count & (symbol_count - 1)))
			symbols = realloc(symbols, 2 * (symbol_count + 1) * sizeof(s));
		if (!symbols)
			abort();
		symbols[symbol_count++] = s;
	}
	if (in)
		pclose(in);
}

static void print_symbol(FILE *out, uintptr_t addr)
{
	const struct symbol *best = NULL;

	if (!symbol_count)
		load_symbols();
	for (unsigned int i = 0; i < symbol_count && symbols[i].addr <= addr; i++)
		best = &symbols[i];
	if (best && addr - best->addr < 1UL << 16)
		fprintf(out, "%s+%lu", best->name, addr - best->addr);
	else
		fprintf(out, "0x%lx", addr);
}

void places_print(FILE *out, const char *text)
{
	for (; *text; text++) {
		char *end;

		if (strncmp(text, "{0x", 3) != 0 && strncmp(text, "<0x", 3) != 0) {
			putc(*text, out);
			continue;
		}
		if (*text == '{')
			fputs(place_text(strtoul(text + 1, &end, 16)), out);
		else
			print_symbol(out, strtoul(text + 1, &end, 16));
		text = *end ? end : end - 1;
	}
}
