# SPDX-License-Identifier: MIT
"""
What a traced program has written to, before each of its memory calls. For tools/capture.

Which mappings merge depends on which of them were written to, and no call tells.
Each memory call is therefore held before it runs, by a seccomp filter that asks
this program (SECCOMP_RET_USER_NOTIF, seccomp_unotify(2)). Its entry is in strace's
output by then: the kernel stops a call for the tracer before it asks the filter.
While the call is held, the pages that the process has written to are read
(PAGEMAP_SCAN of /proc/PID/pagemap, Linux 6.7; else smaps), and the call goes on as
it came.

The program sees that it has a filter (Seccomp in /proc/PID/status), and without
root it has no_new_privs as well. A signal that arrives in the moment before the
question is read interrupts the call. The call comes again, unless the handler was
installed without SA_RESTART: then it fails with EINTR. --no-touches avoids all that.
"""
import array
import ctypes
import fcntl
import os
import select
import socket
import struct
import time

CALLS = dict(mmap=9, mprotect=10, munmap=11, brk=12, mremap=25, madvise=28, shmat=30, shmdt=67,
	     mlock=149, munlock=150, mlockall=151, munlockall=152, remap_file_pages=216, mlock2=325,
	     pkey_mprotect=329, mseal=462)	# x86-64
AUDIT_ARCH_X86_64 = 0xC000003E
SYS_SECCOMP, SET_MODE_FILTER, NEW_LISTENER, WAIT_KILLABLE = 317, 1, 1 << 3, 1 << 5
RET_USER_NOTIF, RET_ALLOW = 0x7FC00000, 0x7FFF0000
NOTIF_RECV, NOTIF_SEND, FLAG_CONTINUE = 0xC0502100, 0xC0182101, 1
PR_SET_NO_NEW_PRIVS = 38

PAGEMAP_SCAN = 0xC0606610
IS_FILE, IS_PRESENT, IS_SWAPPED, IS_PFNZERO, IS_HUGE = 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6
TOP = 0x7FFFFFFFF000
REGIONS = 4096


def install_filter():
	"""In the process that is to become the program. The listener's descriptor, or -1."""
	libc = ctypes.CDLL(None, use_errno=True)
	jump = lambda k, yes, no: struct.pack("=HBBI", 0x15, yes, no, k)
	load = lambda k: struct.pack("=HBBI", 0x20, 0, 0, k)
	give = lambda k: struct.pack("=HBBI", 0x06, 0, 0, k)
	code = load(4) + jump(AUDIT_ARCH_X86_64, 0, len(CALLS) + 1) + load(0)
	for i, nr in enumerate(CALLS.values()):
		code += jump(nr, len(CALLS) - i, 0)
	code += give(RET_ALLOW) + give(RET_USER_NOTIF)
	text = ctypes.create_string_buffer(code, len(code))
	prog = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
	if os.geteuid() != 0:
		libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	for flags in (NEW_LISTENER | WAIT_KILLABLE, NEW_LISTENER):
		fd = libc.syscall(SYS_SECCOMP, SET_MODE_FILTER, flags, prog)
		if fd >= 0:
			return fd
	return -1


def start(argv, filtered):
	"""Start argv, with the filter in place if that is wanted: its pid, and the listener or None."""
	ours, theirs = socket.socketpair()
	pid = os.fork()
	if pid == 0:
		# From the filter on, this process must not want memory before it is served.
		fd = install_filter() if filtered and os.uname().machine == "x86_64" else -1
		socket.send_fds(theirs, [b"x"], [fd] if fd >= 0 else [])
		os.execvp(argv[0], argv)
	theirs.close()
	_, fds, _, _ = socket.recv_fds(ours, 1, 1)
	ours.close()
	return pid, Listener(fds[0]) if fds else None


class Listener:
	def __init__(self, fd):
		self.fd = fd
		self.waiting = {}	# tid -> notification of a call that has not run

	def receive(self):
		"""Take what has come, without waiting and without an answer."""
		while self.fd >= 0:
			ready = select.poll()
			ready.register(self.fd, select.POLLIN)
			events = ready.poll(0)
			if events and events[0][1] & select.POLLHUP:
				os.close(self.fd)	# the last process has gone
				self.fd = -1
			if not events or not events[0][1] & select.POLLIN:
				return
			notif = array.array("B", bytes(80))
			try:
				fcntl.ioctl(self.fd, NOTIF_RECV, notif)
			except (FileNotFoundError, InterruptedError):
				continue	# it was killed meanwhile
			ident, tid = struct.unpack_from("=QI", notif)
			self.waiting[tid] = ident

	def let_go(self, tid):
		ident = self.waiting.pop(tid)
		try:
			fcntl.ioctl(self.fd, NOTIF_SEND, struct.pack("=QqiI", ident, 0, 0, FLAG_CONTINUE))
		except OSError:
			pass	# killed, or interrupted by a signal: it asks again


def start_stopped(argv, filtered):
	"""argv about to be executed, without address randomisation, stopped: pid, listener."""
	pid, listener = start(["setarch", "-R", "sh", "-c", 'kill -STOP $$; exec "$@"', "sh", *argv],
			      filtered)
	while not os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
		if listener:	# setarch and sh make memory calls of their own
			listener.receive()
			for tid in list(listener.waiting):
				listener.let_go(tid)
		time.sleep(0.0002)
	os.waitid(os.P_PID, pid, os.WSTOPPED)
	return pid, listener


def scan(pid):
	"""The ranges of pages that have been written to, ascending; zero pages are not."""
	regions = array.array("Q", bytes(24 * REGIONS))
	out, at = [], 0
	with open(f"/proc/{pid}/pagemap", "rb") as f:
		while at < TOP:
			arg = array.array("Q", [96, 0, at, TOP, 0, regions.buffer_info()[0], REGIONS, 0,
						IS_FILE, IS_FILE, IS_PRESENT | IS_SWAPPED,
						IS_PFNZERO | IS_HUGE])
			n = fcntl.ioctl(f, PAGEMAP_SCAN, arg)
			for i in range(0, 3 * n, 3):
				start, end, what = regions[i:i + 3]
				if what & IS_PFNZERO and not what & IS_HUGE:
					continue
				if out and out[-1][1] == start:
					start = out.pop()[0]
				out.append((start, end))
			at = arg[4]
	return out


def scan_smaps(text):
	"""The same by mappings."""
	out, area = [], None
	for line in text.splitlines():
		word = line.split(None, 2)
		if "-" in word[0]:
			area = tuple(int(x, 16) for x in word[0].split("-"))
		elif word[0] == "Anonymous:" and word[1] != "0":
			out.append(area)
	return out


def without(ranges, known):
	"""What of ranges is not in known; both ascending."""
	out, i = [], 0
	for start, end in ranges:
		while i < len(known) and known[i][1] <= start:
			i += 1
		j = i
		while start < end and j < len(known) and known[j][0] < end:
			if known[j][0] > start:
				out.append((start, known[j][0]))
			start = known[j][1]
			j += 1
		if start < end:
			out.append((start, end))
	return out


class Touched:
	"""The pages of each process as they were last seen."""
	def __init__(self):
		self.seen = {}
		self.by_page = True

	def fresh(self, pid, parent):
		"""What pid has written to since it was last asked, as lines of a block."""
		try:
			now = scan(pid) if self.by_page else None
		except OSError as e:
			if isinstance(e, (FileNotFoundError, ProcessLookupError, PermissionError)):
				raise
			self.by_page, now = False, None	# a kernel before 6.7
		if now is None:
			with open(f"/proc/{pid}/smaps", errors="surrogateescape") as f:
				now = scan_smaps(f.read())
		known = self.seen.get(pid)
		if known is None:	# forked, so what its parent wrote is not its own
			known = self.seen.get(parent, [])
		self.seen[pid] = now
		return "".join(f"~ {a:x}-{b:x}\n" for a, b in without(now, known))

	def forget(self, pid):
		self.seen[pid] = []
