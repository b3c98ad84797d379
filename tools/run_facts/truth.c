/* SPDX-License-Identifier: MIT */
/*
 * A page is refused by making the host's map say so and waking the thread that waits: the kernel
 * itself then gives the signal or the errno. And what a page that is served looks like.
 */
#include "served.h"

static const char *outcome(struct served *s, int ms)
{
	static char text[80];
	long ret;

	if (!served_done(s, ms, &ret))
		return "waits";
	if (s->doer->arg[0] == ASK_READ2)
		snprintf(text, sizeof(text), "read(2) gives %s", err(ret));
	else if (ret)
		snprintf(text, sizeof(text), "SIG%s code %d, address of page %ld",
			 sigabbrev_np((int)ret), s->doer->code,
			 ((char *)s->doer->sigaddr - s->g.at) / (long)PAGE);
	else
		return "goes on";
	return text;
}

/* The doer asks for page 3; once its message is here, the agent does what, and it is woken. */
static const char *refused(enum asked ask, enum asked what)
{
	struct served s = served_start(8, ALL_MODES, 0);
	const char *text = "no message";
	struct uffd_msg msg;

	served_begin(&s, ask, 3, 0);
	if (next_message(s.g.uffd, &msg, 1000)) {
		if (what == ASK_END)
			must(!poison(s.g.uffd, s.g.at + 3 * PAGE), "poison");
		else
			served_agent(&s, what, 3, 1, 0);
		wake(s.g.uffd, s.g.at + 3 * PAGE, 1);
		text = outcome(&s, 1000);
	}
	served_end(&s);
	return text;
}

static void refusals(void)
{
	static const struct {
		enum asked what;
		const char *name;
	} ways[] = {
		{ ASK_UNMAP, "munmap" },
		{ ASK_NONE, "PROT_NONE" },
		{ ASK_EMPTY, "a file without bytes mapped there" },
		{ ASK_END, "UFFDIO_POISON" },
	};
	char question[100];

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		snprintf(question, sizeof(question), "store waits; %s, wake", ways[i].name);
		FACT(question, P("%s", refused(ASK_STORE, ways[i].what)));
		snprintf(question, sizeof(question), "read(2) waits; %s, wake", ways[i].name);
		FACT(question, P("%s", refused(ASK_READ2, ways[i].what)));
	}
}

/* A page that is there and write-protected; the mapping then becomes read-only. */
static const char *refused_store(enum asked ask)
{
	struct served s = served_start(8, ALL_MODES, 0);
	const char *text = "no message";
	struct uffd_msg msg;

	s.g.ram.base[3 * PAGE] = 1;
	cont(s.g.uffd, s.g.at + 3 * PAGE, 1, UFFDIO_CONTINUE_MODE_WP);
	served_begin(&s, ask, 3, 0);
	if (next_message(s.g.uffd, &msg, 1000)) {
		served_agent(&s, ASK_RDONLY, 3, 1, 0);
		wake(s.g.uffd, s.g.at + 3 * PAGE, 1);
		text = outcome(&s, 1000);
	}
	served_end(&s);
	return text;
}

/* The page's place in the file changes while a store waits for it. */
static void moved(void)
{
	struct served s = served_start(8, ALL_MODES, 0);
	struct uffd_msg msg;

	s.g.ram.base[9 * PAGE] = 1;
	served_begin(&s, ASK_STORE, 3, 0);
	FACT("store waits; another frame mapped there with MAP_POPULATE, registered, wake",
	     P("%s; ", next_message(s.g.uffd, &msg, 1000) ? "message" : "none"),
	     served_agent(&s, ASK_MAP_FULL, 3, 1, 9),
	     P("register %s; ", err(reg(s.g.uffd, s.g.at + 3 * PAGE, 1, ALL_MODES))),
	     wake(s.g.uffd, s.g.at + 3 * PAGE, 1), P("%s; ", outcome(&s, 1000)),
	     P("the frame has '%c'", s.g.ram.base[9 * PAGE]));
	served_begin(&s, ASK_STORE, 3, 0);
	FACT("... the next store there", P("%s", outcome(&s, 100)));
	served_agent(&s, ASK_ZAP, 3, 1, 0);
	served_begin(&s, ASK_LOAD, 3, 0);
	FACT("... MADV_DONTNEED by the agent, then a load",
	     P("%s", next_message(s.g.uffd, &msg, 1000) &&
				     (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR) ?
			     "a minor fault" :
			     "something else"));
	served_end(&s);
}

/* A file without bytes is mapped and registered, and grows. */
static void grown(void)
{
	struct served s = served_start(8, ALL_MODES, 0);
	const int fd = (int)served_agent(&s, ASK_EMPTY, 3, 1, 0);
	struct uffd_msg msg;

	must(!reg(s.g.uffd, s.g.at + 3 * PAGE, 1, ALL_MODES), "register");
	served_begin(&s, ASK_STORE, 3, 0);
	FACT("store to a registered mapping of a file without bytes", P("%s", outcome(&s, 200)));
	must(!ftruncate(fd_of(&s.g, fd), 1L << 47), "length");
	served_begin(&s, ASK_STORE, 3, 0);
	FACT("... the same once the file has 2^47 bytes",
	     P("%s", next_message(s.g.uffd, &msg, 1000) ? "a message" : "none"));
	served_end(&s);
}

/* What a mapping that is not registered gives, for as long as it is not. */
static void gap(void)
{
	struct served s = served_start(8, ALL_MODES, 0);

	served_agent(&s, ASK_MAP, 3, 1, 9);
	served_begin(&s, ASK_LOAD, 3, 0);
	FACT("load between mmap and REGISTER", P("%s", outcome(&s, 200)));
	served_end(&s);
}

static volatile int *handled;

static void handler(int sig)
{
	(void)sig;
	*handled += 1;
}

/* A signal while an access waits: is it handled before the answer? */
static void interrupted(enum asked ask, const char *question)
{
	struct served s;
	struct uffd_msg msg;
	int messages;

	*handled = 0;
	s = served_start(8, ALL_MODES, 0);
	served_begin(&s, ask, 3, 0);
	messages = next_message(s.g.uffd, &msg, 1000);
	syscall(SYS_tgkill, s.g.pid, s.g.pid, SIGUSR1);
	usleep(20000);
	while (next_message(s.g.uffd, &msg, 1))
		messages++;
	FACT(question,
	     P("before the answer %d are handled, messages %s; ", *handled,
	       messages == 1 ? "1" :
	       messages == 2 ? "2" :
			       "without end"),
	     zero(s.g.uffd, s.g.at + 3 * PAGE, 1), P("%s", outcome(&s, 1000)));
	served_end(&s);
}

/* Two frames take turns at an address while a thread stores there. */
static void exchanged(void)
{
	struct served s = served_start(8, 0, 0);
	long ret = 0;

	s.g.ram.base[8 * PAGE] = s.g.ram.base[9 * PAGE] = 1;
	served_agent(&s, ASK_MAP_FULL, 3, 1, 8);
	served_begin(&s, ASK_HAMMER, 3, 300);
	for (int i = 0; !served_done(&s, 0, &ret); i++)
		served_agent(&s, ASK_MAP_FULL, 3, 1, 8 + i % 2);
	FACT("a thread stores to a page for 0.3 s while two frames take turns there by mmap",
	     P("%s", ret ? "a signal" : "no signal"));
	served_end(&s);
}

void group_truth(void)
{
	struct served s;
	struct uffd_msg msg;

	refusals();
	FACT("store to a write-protected page waits; PROT_READ, wake",
	     P("%s", refused_store(ASK_STORE)));
	FACT("read(2) into it waits; PROT_READ, wake", P("%s", refused_store(ASK_READ2)));
	moved();
	gap();
	grown();
	handled = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGUSR1, handler);
	interrupted(ASK_STORE, "a signal while a store waits");
	interrupted(ASK_READ2, "a signal while read(2) waits");
	exchanged();
	s = served_start(8, ALL_MODES, 0);
	served_begin(&s, ASK_READ2, 3, 0);
	FACT("read(2) into an absent page; ZEROPAGE",
	     P("%s; ", next_message(s.g.uffd, &msg, 1000) ? "message" : "none"),
	     P("ZEROPAGE %s; ", err(zero(s.g.uffd, s.g.at + 3 * PAGE, 1))),
	     P("%s", outcome(&s, 1000)));
	FACT("ZEROPAGE of a page that the file has (CONTINUE's case)",
	     P("%s", err(zero(s.g.uffd, s.g.at + 3 * PAGE, 1))), s.g.ram.base[4 * PAGE] = 1,
	     P(", another one %s", err(zero(s.g.uffd, s.g.at + 4 * PAGE, 1))));
	FACT("CONTINUE of a page that the file has not",
	     P("%s", err(cont(s.g.uffd, s.g.at + 5 * PAGE, 1, 0))));
	served_end(&s);
}
