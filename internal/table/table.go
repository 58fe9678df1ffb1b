// Package table stores fixed-size records under 128-bit keys, in memory that
// the garbage collector does not look into, for readers that take no lock.
//
// It knows nothing of sessions or targets: a record says when it expires,
// carries a reference that only its Owner understands, and a mark that it
// keeps for its Owner. Time is a number of nanoseconds that the caller names.
//
// A user of a record who will be back may take a lease on it. While there are
// leases, the record outlives its expiry; but not for ever, since a lease may
// be forgotten.
//
// The table is an array of shards. A shard is an open-addressing hash table
// with linear probing and backward-shift deletion, so there are no tombstones.
// Writers of a shard exclude each other with a mutex and make the shard's
// sequence number odd while records move or change; readers look without a lock
// and look again if the number has changed. The life of a record, its expiry and
// its leases, is the exception: a reader may lengthen it with a compare-and-swap
// at any time, so a writer that removes, replaces or moves a record takes its
// life out with an atomic operation first and never loses a refresh.
package table

import (
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Key is a well-mixed 128-bit hash.
type Key struct{ Hi, Lo uint64 }

// A Record is what is stored under a key.
type Record struct {
	Expires int64 // live while now < Expires, and longer while there are leases; positive
	Leases  int   // at most MaxLeases
	Version
	Mark uint64 // carried for the Owner
}

// A Version is the part of a [Record] that says what is stored, and by which
// write. It stands apart because the compiler keeps a struct of four fields in
// registers, and one of five in memory: that makes Get half as fast.
type Version struct {
	Ref   uint32 // what the record is about, in its Owner's words
	Stamp uint32 // differs for every write of the key; set by the table, never 0
}

// An Owner gives meaning to references. Its methods may be called with a shard
// locked: they must be quick and must not call the table.
type Owner interface {
	// Alive reports whether records with ref are still good. A record whose
	// ref is dead is as if absent, and a ref that has died stays dead as long
	// as there are records with it. A reader may ask about a ref whose last
	// record is just leaving; it does not use the answer.
	Alive(ref uint32) bool

	// Release tells that one record with ref has left the table.
	Release(ref uint32)
}

// slot is a record in place.
type slot struct {
	hi, lo   atomic.Uint64
	life     atomic.Uint64 // a life; 0 marks the slot free
	refStamp atomic.Uint64
	mark     atomic.Uint64
}

func (sl *slot) record(l life) Record {
	rs := sl.refStamp.Load()
	return Record{Expires: l.expires(), Leases: l.leases(), Version: Version{uint32(rs >> 32), uint32(rs)}, Mark: sl.mark.Load()}
}

func (sl *slot) load() life { return life(sl.life.Load()) }

func (sl *slot) swap(was, l life) bool { return sl.life.CompareAndSwap(uint64(was), uint64(l)) }

func (sl *slot) is(k Key) bool { return sl.hi.Load() == k.Hi && sl.lo.Load() == k.Lo }

func (sl *slot) key() Key { return Key{sl.hi.Load(), sl.lo.Load()} }

func (sl *slot) ref() uint32 { return uint32(sl.refStamp.Load() >> 32) }

func (sl *slot) stamp() uint32 { return uint32(sl.refStamp.Load()) }

// move takes the record out of from, its life first: whoever is about to
// lengthen that there fails and looks again.
func (sl *slot) move(from *slot) {
	l := from.life.Swap(0)
	sl.hi.Store(from.hi.Load())
	sl.lo.Store(from.lo.Load())
	sl.refStamp.Store(from.refStamp.Load())
	sl.mark.Store(from.mark.Load())
	sl.life.Store(l)
}

type shard struct {
	mu    sync.Mutex
	seq   atomic.Uint64 // odd while records move
	slots atomic.Pointer[[]slot]
	used  int // slots taken, the expired ones among them
	hand  int // the slot that the next sweep or eviction looks at first
	stamp uint32
	_     [64]byte // keeps neighbours off the cache line that writers dirty
}

// Table is the store. Use New. All methods are safe for concurrent use.
type Table struct {
	owner    Owner
	limit    int64 // of what leases add to a life
	capacity int64
	shards   []shard
	shift    uint
	_        [64]byte     // keeps what readers need off the cache line that writers dirty
	count    atomic.Int64 // records held, and places reserved for one; never above capacity
}

const (
	minSlots = 8

	// shardCapacity is the number of records that a further shard is worth.
	shardCapacity = 256
	maxShards     = 256

	// sweepStep is how many slots each insert looks at for dead records to
	// reclaim. Any number above 1 keeps ahead of the inserts.
	sweepStep = 4

	// evictWindow is how many slots an eviction compares: some fifty records,
	// the oldest of which is among the oldest 2 % of all. A table that is too
	// small for two shards is compared whole, so that it evicts exactly the
	// record that expires first.
	evictWindow = 64

	// spins is how often a reader looks again before it waits for the writer.
	spins = 64
)

// New returns a table of at most capacity records, which must be positive. A
// record with leases lives for up to limit after its expiry.
func New(capacity int, limit int64, owner Owner) *Table {
	if capacity <= 0 {
		panic("table: capacity must be positive")
	}
	n := 1
	for n < maxShards && capacity/(2*n) >= shardCapacity {
		n *= 2
	}
	t := &Table{owner: owner, limit: min(limit, never), capacity: int64(capacity), shards: make([]shard, n), shift: 64}
	for ; n > 1; n /= 2 {
		t.shift--
	}
	return t
}

// shard picks by the top bits of Hi; home by the top bits of Lo.
func (t *Table) shard(k Key) *shard { return &t.shards[k.Hi>>t.shift&uint64(len(t.shards)-1)] }

// home returns where among n slots the search for k begins: Lo as a fraction
// of 2^64, times n. So n need not be a power of two, and homes keep their order
// when n changes.
func home(k Key, n int) int {
	i, _ := bits.Mul64(k.Lo, uint64(n))
	return int(i)
}

// next returns the slot behind i of n, which are a circle.
func next(i, n int) int {
	if i++; i < n {
		return i
	}
	return 0
}

// distance returns how many slots of n to is behind from.
func distance(from, to, n int) int {
	if to < from {
		to += n
	}
	return to - from
}

// find returns the place of k and its life at that moment, dead or not, or -1. Without the lock the answer holds only if the sequence number has not
// moved.
func find(slots []slot, k Key) (int, life) {
	i := home(k, len(slots))
	for range slots {
		l := slots[i].load()
		if l == 0 {
			break
		}
		if slots[i].is(k) {
			return i, l
		}
		i = next(i, len(slots))
	}
	return -1, 0
}

func (s *shard) load() []slot {
	if p := s.slots.Load(); p != nil {
		return *p
	}
	return nil
}

// begin and end bracket every move of records. Called with s locked.
func (s *shard) begin() { s.seq.Add(1) }
func (s *shard) end()   { s.seq.Add(1) }

// A Handle points at the place where Get found a record.
type Handle struct {
	sl       *slot
	refStamp uint64 // no other record of the shard has it
}

// Holds reports whether the record has been in its place all the time since
// Get. Then so has its ref: what the Owner said of it meanwhile is about this
// record. It may report false for a record that has only been moved.
func (h Handle) Holds() bool {
	return h.sl.life.Load() != 0 && h.sl.refStamp.Load() == h.refStamp
}

// Get returns the live record of k. It takes no lock unless writers of the
// shard keep getting in its way.
func (t *Table) Get(k Key, now int64) (r Record, h Handle, ok bool) {
	s := t.shard(k)
	for try := 0; ; try++ {
		seq := s.enter(try)
		slots := s.load()
		if i, l := find(slots, k); i >= 0 && t.live(&slots[i], l, now) {
			h = Handle{&slots[i], slots[i].refStamp.Load()}
			r, ok = slots[i].record(l), true
		}
		// If nothing has moved, the record has been there all the time: then
		// its ref is still its own.
		if s.leave(seq) {
			return r, h, ok
		}
		r, h, ok = Record{}, Handle{}, false
	}
}

// locked is no sequence number that a reader starts from: those are even.
const locked = 1

// enter begins a reader's look at the slots, which leave ends: at once, or when
// nothing moves, or with the lock after too many tries. What is seen in between
// is true only if leave says so; then all of it is, but for the lives.
func (s *shard) enter(try int) (seq uint64) {
	if seq = s.seq.Load(); seq&1 == 0 && try < spins {
		return seq
	}
	return s.await(try)
}

func (s *shard) await(try int) (seq uint64) {
	for ; try < spins; try++ {
		if seq = s.seq.Load(); seq&1 == 0 {
			return seq
		}
		if try > 8 {
			runtime.Gosched()
		}
	}
	s.mu.Lock()
	return locked
}

func (s *shard) leave(seq uint64) bool {
	if seq == locked {
		s.mu.Unlock()
		return true
	}
	return s.seq.Load() == seq
}

// live reports whether the record in sl, whose life is l, is good.
func (t *Table) live(sl *slot, l life, now int64) bool {
	return now < l.end(t.limit) && t.owner.Alive(sl.ref())
}

// Touch makes the expiry of the record slide to expires, never back, and takes
// a lease on it if lease is set. If the record has gone it does nothing. If its
// expiry is within gap of expires, so that somebody has touched it just now, it
// lets that be, and takes no lease if there are several: a record that is used
// by many threads all the time would otherwise bounce between their caches. Nor
// does it take a lease beyond MaxLeases.
//
// k is the key of the record that Get returned h for. Touch returns the
// expiry that the record now has, or 0 if it has gone, and whether the caller
// has a lease to end.
//
// There is one imprecision: a record that takes this one's place just as Touch
// acts, and has the same life to the nanosecond, is touched as well.
func (t *Table) Touch(k Key, h Handle, expires, gap int64, lease bool) (expiry int64, leased bool) {
	swapped := false
	for !swapped {
		l := h.sl.load()
		if !h.Holds() {
			break
		}
		next := l.touched(expires, gap, lease)
		if next == l {
			return l.expires(), false
		}
		swapped = h.sl.swap(l, next)
		if swapped && h.Holds() {
			return next.expires(), next.leases() > l.leases()
		}
	}
	// The record has moved or gone. If a swap was in time, it took its new life
	// along.
	l, next := t.alter(k, uint32(h.refStamp), func(l life) life {
		if swapped && l.expires() >= expires {
			return l
		}
		return l.touched(expires, gap, lease)
	})
	return next.expires(), next.leases() > l.leases() || swapped && lease && l == next && l != 0
}

// EndLease ends a lease on the record of k that has the given stamp, and makes
// its expiry slide to expires, never back. If there is no such record, or it
// has no lease, or has died meanwhile, nothing happens.
func (t *Table) EndLease(k Key, stamp uint32, expires, now int64) {
	t.alter(k, stamp, func(l life) life {
		if l.leases() == 0 || now >= l.end(t.limit) {
			return l
		}
		return l.touched(expires, 0, false).ended()
	})
}

// Untouch takes back a Touch that has made the expiry of the record of k slide
// to used: it is expires again. If the record has another stamp, was touched
// since or has a lease, nothing happens.
func (t *Table) Untouch(k Key, stamp uint32, used, expires int64) {
	t.alter(k, stamp, func(l life) life {
		if l.leases() > 0 || l.expires() != used {
			return l
		}
		return lifeOf(expires, 0)
	})
}

// alter makes the life of the record of k that has the given stamp what f
// returns for it. It returns both, 0 if there is no such record.
func (t *Table) alter(k Key, stamp uint32, f func(life) life) (l, next life) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := s.load()
	i, _ := find(slots, k)
	if i < 0 || slots[i].stamp() != stamp {
		return 0, 0
	}
	for {
		l = slots[i].load()
		next = f(l)
		if l == next || slots[i].swap(l, next) {
			return l, next
		}
	}
}

// Set stores r under k, with its leases, if the live record there has the given
// stamp; stamp 0 means that there is none. It returns the record that is there
// afterwards and whether it is r. If r.Expires is 0, r keeps the expiry of the
// record that it replaces. The table calls Release for what r replaces, not for
// r when it is not stored.
func (t *Table) Set(k Key, stamp uint32, r Record, now int64) (Record, bool) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		slots := s.load()
		if i, l := find(slots, k); i >= 0 {
			old := slots[i].record(l)
			live := t.live(&slots[i], l, now)
			if live && old.Stamp != stamp {
				return old, false
			}
			if !live && stamp != 0 {
				return Record{}, false
			}
			stored := r
			if r.Expires == 0 {
				stored.Expires = old.Expires
			}
			stored.Stamp = s.nextStamp()
			if s.replace(&slots[i], l, k, &stored) {
				t.owner.Release(old.Ref)
				return stored, true
			}
			continue // refreshed just now: look again
		}
		if stamp != 0 {
			return Record{}, false
		}
		if !t.reserve() {
			if s.used > 0 {
				t.evict(s, now)
			} else {
				s.mu.Unlock()
				t.evictElsewhere(now)
				s.mu.Lock()
			}
			continue
		}
		t.sweep(s, now)
		s.grow()
		r.Stamp = s.nextStamp()
		s.insert(k, &r)
		return r, true
	}
}

// reserve counts one more record unless the table is full.
func (t *Table) reserve() bool {
	for {
		n := t.count.Load()
		if n >= t.capacity {
			return false
		}
		if t.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// replace writes r over the record in sl, whose life the caller has seen to be
// l. It gives up if that was lengthened in the meantime: what has expired then
// has not.
func (s *shard) replace(sl *slot, l life, k Key, r *Record) bool {
	s.begin()
	defer s.end()
	if !sl.swap(l, 0) {
		return false
	}
	sl.write(k, r)
	return true
}

// insert writes r into a free slot. There must be one. The slot is free for
// readers until the last step of write, so they need not look again.
func (s *shard) insert(k Key, r *Record) {
	slots := s.load()
	i := home(k, len(slots))
	for slots[i].load() != 0 {
		i = next(i, len(slots))
	}
	slots[i].write(k, r)
	s.used++
}

// write puts a record into a free slot, its life last: that makes it one. It
// rounds in r what a life cannot hold.
func (sl *slot) write(k Key, r *Record) {
	l := lifeOf(r.Expires, r.Leases)
	r.Expires, r.Leases = l.expires(), l.leases()
	sl.hi.Store(k.Hi)
	sl.lo.Store(k.Lo)
	sl.refStamp.Store(uint64(r.Ref)<<32 | uint64(r.Stamp))
	sl.mark.Store(r.Mark)
	sl.life.Store(uint64(l))
}

func (s *shard) nextStamp() uint32 {
	s.stamp++
	if s.stamp == 0 {
		s.stamp = 1
	}
	return s.stamp
}

// grow makes room for one more record, keeping a fifth of the slots free so
// that probes stay short. It adds a quarter, so that a shard of some size is
// never less than 64 % full on its way up: a record takes 50 to 63 bytes.
func (s *shard) grow() {
	old := s.load()
	if (s.used+1)*5 <= len(old)*4 {
		return
	}
	slots := make([]slot, max(minSlots, len(old)+len(old)/4))
	s.begin()
	for i := range old {
		if old[i].load() == 0 {
			continue
		}
		j := home(old[i].key(), len(slots))
		for slots[j].load() != 0 {
			j = next(j, len(slots))
		}
		slots[j].move(&old[i])
	}
	s.slots.Store(&slots)
	s.end()
	s.hand += s.hand / 4 // about where it was among the records
}

// remove frees slot i, whose life the caller has seen to be l, and closes the
// gap. It gives up if that was lengthened in the meantime.
func (t *Table) remove(s *shard, i int, l life) bool {
	slots := s.load()
	s.begin()
	if !slots[i].swap(l, 0) {
		s.end()
		return false
	}
	ref := slots[i].ref()
	for j := next(i, len(slots)); slots[j].load() != 0; j = next(j, len(slots)) {
		// The record at j may fill the gap at i unless its home lies behind
		// the gap.
		h := home(slots[j].key(), len(slots))
		if distance(h, j, len(slots)) >= distance(i, j, len(slots)) {
			slots[i].move(&slots[j])
			i = j
		}
	}
	s.end()
	s.used--
	t.count.Add(-1)
	t.owner.Release(ref)
	return true
}

// sweep reclaims what is dead among the next few slots.
func (t *Table) sweep(s *shard, now int64) {
	slots := s.load()
	for range min(sweepStep, len(slots)) {
		sl := &slots[s.hand]
		l := sl.load()
		if l != 0 && !t.live(sl, l, now) && t.remove(s, s.hand, l) {
			continue // the gap was closed: the same slot may hold another
		}
		s.hand = next(s.hand, len(slots))
	}
}

// evict removes the least valuable record of s, which must not be empty: one
// that is dead, else the one of the window that was unused for longest. It may
// fail, if the window is empty or that one is used just now: then try again.
func (t *Table) evict(s *shard, now int64) {
	slots := s.load()
	window := len(slots)
	if len(t.shards) > 1 {
		window = min(window, evictWindow)
	}
	victim, oldest, first := -1, life(0), int64(math.MaxInt64)
	for range window {
		i := s.hand
		s.hand = next(i, len(slots))
		l := slots[i].load()
		if l == 0 {
			continue
		}
		if !t.live(&slots[i], l, now) {
			victim, oldest = i, l
			break
		}
		if end := l.end(t.limit); end <= first {
			victim, oldest, first = i, l, end
		}
	}
	if victim >= 0 {
		t.remove(s, victim, oldest)
	}
}

// evictElsewhere evicts from some shard that has a record to give.
func (t *Table) evictElsewhere(now int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		had := s.used > 0
		if had {
			t.evict(s, now)
		}
		s.mu.Unlock()
		if had {
			return
		}
	}
}

// Delete removes the record of k if it has the given stamp, or any if stamp
// is 0, and reports whether there was a live one to remove.
func (t *Table) Delete(k Key, stamp uint32, now int64) bool {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		slots := s.load()
		i, l := find(slots, k)
		if i < 0 {
			return false
		}
		if stamp != 0 && slots[i].stamp() != stamp {
			return false
		}
		live := t.live(&slots[i], l, now) // asked before its Owner may forget the ref
		if t.remove(s, i, l) {
			return live
		}
		// Refreshed just now: look again.
	}
}

// All calls yield for every live record until it returns false. It locks one
// shard at a time, and copies it, so yield may call the table; it sees records
// that are written meanwhile or not.
func (t *Table) All(now int64, yield func(Key, Record) bool) {
	type entry struct {
		Key
		Record
	}
	var batch []entry
	for i := range t.shards {
		s := &t.shards[i]
		batch = batch[:0]
		s.mu.Lock()
		for i := range s.load() {
			sl := &s.load()[i]
			l := sl.load()
			if l != 0 && t.live(sl, l, now) {
				batch = append(batch, entry{sl.key(), sl.record(l)})
			}
		}
		s.mu.Unlock()
		for _, e := range batch {
			if !yield(e.Key, e.Record) {
				return
			}
		}
	}
}

// Len returns the number of records held, those among them that have expired
// or died and were not reclaimed yet.
func (t *Table) Len() int { return int(t.count.Load()) }

// Clear removes every record, one shard after the other.
func (t *Table) Clear() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		old := s.load()
		s.begin()
		s.slots.Store(nil)
		s.end()
		for i := range old {
			if old[i].life.Swap(0) != 0 {
				t.owner.Release(old[i].ref())
			}
		}
		t.count.Add(int64(-s.used))
		s.used, s.hand = 0, 0
		s.mu.Unlock()
	}
}
