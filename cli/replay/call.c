/* SPDX-License-Identifier: MIT */
/*
 * Reading the arguments of the calls that matter.
 *
 * Three kinds of calls are about memory: those that are made again here, those
 * that are not (CALL_FOREIGN) and those of which part is left out. The last two
 * have a name for the summary, so that nothing is passed over in silence.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "replay/call.h"

#define CLONE_VM 0x100UL
#define CLONE_THREAD 0x10000UL

/* One letter an argument, in order, as read_args() understands it. */
struct form {
	const char *name;
	enum call_kind kind;
	const char *args;
};

static const struct form forms[] = {
	{ "mmap", CALL_MMAP, "alpfdo" },
	{ "mmap2", CALL_MMAP, "alpfdo" },
	{ "mmap_pgoff", CALL_MMAP, "alpfdo" },
	{ "old_mmap", CALL_MMAP, "alpfdo" },
	{ "old_mmap_pgoff", CALL_MMAP, "alpfdo" },
	{ "munmap", CALL_MUNMAP, "al" },
	{ "mprotect", CALL_MPROTECT, "alp" },
	{ "pkey_mprotect", CALL_MPROTECT, "alpi" },
	{ "syscall_0x149", CALL_MPROTECT, "alpi" }, /* an strace older than the call */
	{ "mremap", CALL_MREMAP, "alnf" },
	{ "brk", CALL_BRK, "a" },
	{ "madvise", CALL_MADVISE, "alv" },
	{ "mlock", CALL_MLOCK, "al" },
	{ "mlock2", CALL_MLOCK2, "alf" },
	{ "syscall_0x145", CALL_MLOCK2, "alf" },
	{ "munlock", CALL_MUNLOCK, "al" },
	{ "mlockall", CALL_MLOCKALL, "f" },
	{ "munlockall", CALL_MUNLOCKALL, "" },
	{ "mseal", CALL_MSEAL, "alf" },
	{ "syscall_0x1ce", CALL_MSEAL, "alf" },
	{ "remap_file_pages", CALL_REMAP_FILE_PAGES, "alpof" },
	{ "shmget", CALL_SHMGET, "ilf" },
	{ "shmat", CALL_SHMAT, "iaf" },
	{ "shmdt", CALL_SHMDT, "a" },
	{ "setrlimit", CALL_RLIMIT, "" },
	{ "prlimit64", CALL_RLIMIT, "" },
	{ "clone", CALL_CLONE, "" },
	{ "clone2", CALL_CLONE, "" },
	{ "clone3", CALL_CLONE, "" },
	{ "fork", CALL_CLONE, "" },
	{ "vfork", CALL_CLONE, "" },
	{ "execve", CALL_EXEC, "" },
	{ "execveat", CALL_EXEC, "" },
	{ "exit", CALL_EXIT, "" },
	{ "exit_group", CALL_EXIT, "" },
};

/* Those that are not made again here whatever their arguments. */
static const char *const foreign[] = {
	"map_shadow_stack",
	"mbind",
	"set_mempolicy_home_node",
	"migrate_pages",
	"move_pages",
	"process_madvise",
	"process_mrelease",
	"process_vm_writev",
	"userfaultfd",
	"io_setup",
	"io_destroy",
	"uselib",
	"msync",
	"mincore",
	"cacheflush",
	"subpage_prot",
	"memory_ordering",
	"sram_alloc",
	"dma_memcpy",
};

static int bad_arg(const struct trace_event *ev, unsigned int i, char why[120])
{
	if (i >= ev->call.nr_args)
		snprintf(why, 120, "%.*s has %u arguments, argument %u is missing",
			 (int)ev->call.name.len, ev->call.name.at, ev->call.nr_args, i + 1);
	else
		snprintf(why, 120, "%.*s: cannot read argument %u `%.*s`", (int)ev->call.name.len,
			 ev->call.name.at, i + 1,
			 ev->call.args[i].len > 40 ? 40 : (int)ev->call.args[i].len,
			 ev->call.args[i].at);
	return -EINVAL;
}

/* The value of one argument, where form's letter wants it. */
static void put_arg(struct call *out, char letter, unsigned long value)
{
	switch (letter) {
	case 'a':
		out->addr = value;
		break;
	case 'l':
		out->len = value;
		break;
	case 'p':
		out->prot = (int)value;
		break;
	case 'f':
		out->flags = value;
		break;
	case 'o':
		out->source.offset = value;
		break;
	case 'n':
		out->to.len = value;
		break;
	case 'v':
		out->advice = (int)value;
		break;
	default:
		out->id = (int)value;
	}
}

/* shmget's flags have the mode, shmget's key is a name: IPC_CREAT|0600, 0x1234. */
static int read_args(const struct trace_event *ev, const char *form, struct call *out,
		     char why[120])
{
	for (unsigned int i = 0; form[i]; i++) {
		unsigned long value = 0;
		int err;

		if (i >= ev->call.nr_args) {
			if (out->partial)
				return 0;
			return bad_arg(ev, i, why);
		}
		if (form[i] == 'd')
			err = trace_fd(ev->call.args[i], &out->source.file);
		else
			err = trace_number(ev->call.args[i], &value);
		if (err)
			return bad_arg(ev, i, why);
		if (form[i] != 'd')
			put_arg(out, form[i], value);
	}
	/* mremap's last argument is there only when its flags ask for it. */
	if (out->kind == CALL_MREMAP && ev->call.nr_args > 4 &&
	    trace_number(ev->call.args[4], &out->to.addr))
		return bad_arg(ev, 4, why);
	return 0;
}

static bool has_word(struct slice s, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= s.len; i++) {
		bool ends = i + len == s.len || strchr("|, })", s.at[i + len]);
		bool begins = i == 0 || strchr("|=, {", s.at[i - 1]);

		if (begins && ends && memcmp(s.at + i, word, len) == 0)
			return true;
	}
	return false;
}

/*
 * clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD, ..), clone3({flags=..}, 88);
 * not decoded: clone(0x1200011, ..). Of clone3(0x7ffe.., 88) nothing is known.
 */
static int read_clone(const struct trace_event *ev, struct call *out, char why[120])
{
	unsigned long value = 0;

	if (slice_is(ev->call.name, "vfork"))
		out->flags = CLONE_VM;
	if (slice_is(ev->call.name, "vfork") || slice_is(ev->call.name, "fork"))
		return 0;
	for (unsigned int i = 0; i < ev->call.nr_args; i++) {
		struct slice flags;

		if (trace_field(ev->call.args[i], "flags", &flags))
			continue;
		if (trace_number(flags, &value) == 0)
			out->flags = value & (CLONE_VM | CLONE_THREAD);
		if (has_word(flags, "CLONE_VM"))
			out->flags |= CLONE_VM;
		if (has_word(flags, "CLONE_THREAD"))
			out->flags |= CLONE_THREAD;
		return 0;
	}
	if (ev->call.nr_args && slice_is(ev->call.name, "clone") &&
	    trace_number(ev->call.args[0], &value) == 0) {
		out->flags = value & (CLONE_VM | CLONE_THREAD);
		return 0;
	}
	if (out->partial || ev->result.kind != RESULT_VALUE)
		return 0;
	snprintf(why, 120, "%.*s: the trace does not have its flags", (int)ev->call.name.len,
		 ev->call.name.at);
	return -EINVAL;
}

/* setrlimit(RES, {rlim_cur=.., rlim_max=..}), prlimit64(PID, RES, {..} or NULL, ..) */
static int read_rlimit(const struct trace_event *ev, struct call *out, char why[120])
{
	unsigned int at = slice_is(ev->call.name, "prlimit64") ? 1 : 0;
	struct slice cur, max;
	unsigned long value;

	if (ev->call.nr_args < at + 2)
		return out->partial ? 0 : bad_arg(ev, ev->call.nr_args, why);
	if (at && trace_number(ev->call.args[0], &value))
		return bad_arg(ev, 0, why);
	out->id = at ? (int)value : 0;
	if (trace_number(ev->call.args[at], &value))
		return bad_arg(ev, at, why);
	out->limit.resource = (int)value;
	if ((trace_number(ev->call.args[at + 1], &value) == 0 && value == 0) ||
	    ev->result.kind != RESULT_VALUE) {
		out->kind = CALL_OTHER; /* only asked for, or refused */
		return 0;
	}
	if (trace_field(ev->call.args[at + 1], "rlim_cur", &cur) ||
	    trace_field(ev->call.args[at + 1], "rlim_max", &max) ||
	    trace_number(cur, &out->limit.cur) || trace_number(max, &out->limit.max))
		return out->partial ? 0 : bad_arg(ev, at + 1, why);
	return 0;
}

static void make_foreign(struct call *out, const char *name, size_t len)
{
	out->kind = CALL_FOREIGN;
	snprintf(out->left_out, sizeof(out->left_out), "%.*s", len > 100 ? 100 : (int)len, name);
}

/*
 * Calls that are about memory with some of their arguments: prctl and
 * personality, ioctl on a userfaultfd, ipc of old 32-bit programs.
 */
static bool read_option(const struct trace_event *ev, struct call *out)
{
	static const struct {
		const char *call, *name;
		unsigned long value;
		enum { IS, HAS } how; /* the first argument's value, or one of its flags */
	} options[] = {
		{ "prctl", "PR_SET_VMA", 0x53564d41, IS },
		{ "prctl", "PR_SET_MM", 35, IS },
		{ "prctl", "PR_SET_THP_DISABLE", 41, IS },
		{ "prctl", "PR_SET_MDWE", 65, IS },
		{ "prctl", "PR_SET_MEMORY_MERGE", 67, IS },
		{ "personality", "READ_IMPLIES_EXEC", 0x400000, HAS },
		{ "personality", "MMAP_PAGE_ZERO", 0x100000, HAS },
		{ "arch_prctl", "ARCH_MAP_VDSO_X32", 0x2001, IS },
		{ "arch_prctl", "ARCH_MAP_VDSO_32", 0x2002, IS },
		{ "arch_prctl", "ARCH_MAP_VDSO_64", 0x2003, IS },
		{ "ipc", "SHMAT", 21, IS },
		{ "ipc", "SHMDT", 22, IS },
	};

	for (size_t i = 0; ev->call.nr_args && i < sizeof(options) / sizeof(options[0]); i++) {
		struct slice arg = ev->call.args[0];
		unsigned long value;
		bool fits = has_word(arg, options[i].name);

		if (!slice_is(ev->call.name, options[i].call))
			continue;
		if (!fits && trace_number(arg, &value) == 0)
			fits = options[i].how == IS ?
				       value == options[i].value :
				       value != 0xffffffff && (value & options[i].value);
		if (!fits)
			continue;
		make_foreign(out, options[i].name, strlen(options[i].name));
		return true;
	}
	if (slice_is(ev->call.name, "ioctl") && ev->call.nr_args > 1 && ev->call.args[1].len > 6 &&
	    memcmp(ev->call.args[1].at, "UFFDIO_", 7) == 0) {
		make_foreign(out, ev->call.args[1].at, ev->call.args[1].len);
		return true;
	}
	return false;
}

/* Calls of which strace itself does not know the name, as it writes them. */
static bool is_unnamed(struct slice name)
{
	return name.len > 8 && memcmp(name.at, "syscall_", 8) == 0;
}

static bool is_foreign(struct slice name)
{
	static const char *const words[] = { "mmap",  "mprotect",    "mremap", "madvise",
					     "mlock", "mseal",       "shmat",  "shmdt",
					     "_brk",  "shadow_stack" };
	char text[CALL_NAME];

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (slice_is(name, foreign[i]))
			return true;
	snprintf(text, sizeof(text), "%.*s", name.len > 100 ? 100 : (int)name.len, name.at);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

/* A call that the table does not have: is it about memory all the same? */
static void read_unknown(const struct trace_event *ev, struct call *out)
{
	out->kind = CALL_OTHER;
	if (!read_option(ev, out) && (is_foreign(ev->call.name) || is_unnamed(ev->call.name)))
		make_foreign(out, ev->call.name.at, ev->call.name.len);
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

void call_mentions(const char *text, struct tally *names)
{
	for (const char *at = strchr(text, '('); at; at = strchr(at + 1, '(')) {
		struct slice name = { at, 0 };
		bool known = false;

		while (name.at > text && is_word(name.at[-1]) && name.len < CALL_NAME) {
			name.at--;
			name.len++;
		}
		for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
			known |= forms[i].kind < CALL_RLIMIT && slice_is(name, forms[i].name);
		if (name.len && (known || is_foreign(name)))
			tally_add(names, name.at, name.len);
	}
}

int call_decode(const struct trace_event *ev, struct call *out, char why[120])
{
	const struct form *form = NULL;
	int err;

	for (size_t i = 0; !form && i < sizeof(forms) / sizeof(forms[0]); i++)
		if (slice_is(ev->call.name, forms[i].name))
			form = &forms[i];
	out->addr = out->len = out->flags = out->source.offset = out->to.len = out->to.addr = 0;
	out->limit.cur = out->limit.max = 0;
	out->prot = out->advice = out->id = out->limit.resource = 0;
	out->source.file.fd = -1;
	out->source.file.path[0] = '\0';
	out->source.file.deleted = false;
	out->partial = ev->kind == TRACE_ENTRY;
	out->source.page_offset = false;
	out->left_out[0] = '\0';
	if (!form) {
		read_unknown(ev, out);
		return 0;
	}
	out->kind = form->kind;
	switch (out->kind) {
	case CALL_CLONE:
		return read_clone(ev, out, why);
	case CALL_RLIMIT:
		return read_rlimit(ev, out, why);
	case CALL_MMAP:
		out->source.page_offset = slice_is(ev->call.name, "mmap2") ||
					  slice_is(ev->call.name, "mmap_pgoff") ||
					  slice_is(ev->call.name, "old_mmap_pgoff");
		return read_args(ev, form->args, out, why);
	case CALL_MPROTECT:
		err = read_args(ev, form->args, out, why);
		if (!err && out->id > 0)
			snprintf(out->left_out, sizeof(out->left_out), "pkey_mprotect's key");
		return err;
	default:
		return read_args(ev, form->args, out, why);
	}
}

bool call_chooses(const struct call *c)
{
	if (c->kind == CALL_MMAP)
		return !(c->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE));
	return c->kind == CALL_MREMAP && (c->flags & MREMAP_MAYMOVE) && c->to.len > c->len &&
	       c->len != 0 && !(c->flags & ~(unsigned long)MREMAP_MAYMOVE);
}
