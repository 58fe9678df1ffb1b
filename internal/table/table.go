// Package table stores fixed-size records under 80-bit keys, in memory that
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
// sequence number odd while records move; readers look without a lock. A reader who
// finds nothing looks again if the number has changed: the record may have moved back
// past him, as closing a gap does. One who finds a record looks
// again if that is being written, which its life tells, or has left its place
// meanwhile, which its stamp tells. The life of a record, its expiry and its leases,
// is the exception: a reader may lengthen it with a compare-and-swap at any time, so
// a writer that removes, replaces or moves a record takes its life out with an atomic
// operation first and never loses a refresh.
package table

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A Key is a well-mixed hash of 80 bits: of a million keys, two are the same once
// in a million million. Lo must not be 0.
type Key struct {
	Hi uint16
	Lo uint64
}

// A Record is what is stored under a key.
type Record struct {
	Expires int64  // live while now < Expires, and longer while there are leases; positive
	Leases  int    // at most MaxLeases
	Ref     uint32 // what the record is about, in its Owner's words; at most MaxRef
	Stamp   uint32 // differs for every write of the key; set by the table, never 0
	Mark    uint64 // carried for the Owner
}

// A word of a slot has room for a stamp, a ref and Key.Hi. A stamp comes again after
// sixteen million writes to a shard.
const (
	hiBits    = 16
	stampBits = 24
	refBits   = 64 - hiBits - stampBits

	// MaxRef is the largest ref.
	MaxRef = 1<<refBits - 1

	// Any is no record's stamp, and stands for whichever there is.
	Any = 1 << stampBits
)

// An Owner gives meaning to references. Its methods may be called with a shard
// locked: they must be quick and must not call the table.
type Owner interface {
	// Alive reports whether records with ref are still good. A record whose
	// ref is dead is as if absent to those who write, and a ref that has died
	// stays dead as long as there are records with it.
	Alive(ref uint32) bool

	// Dying reports whether there may be records whose ref is dead.
	Dying() bool

	// Release tells that one record with ref has left the table.
	Release(ref uint32)
}

type shard struct {
	seq    atomic.Uint64 // odd while records move
	block  atomic.Pointer[block]
	_      apart
	mu     sync.Mutex
	began  int64    // when the last batch of new records did
	batch  int      // how many are in it so far
	used   int      // slots taken, the expired ones among them
	hand   uint     // the slot that the next sweep or eviction looks at first
	spares []victim // the next to be evicted
	stamp  uint32
	_      apart
}

// apart keeps what readers need off the cache line that each writer dirties.
type apart [64]byte

// Table is the store. Use New. All methods are safe for concurrent use.
type Table struct {
	owner    Owner
	limit    int64 // of what leases add to a life
	capacity int64
	shards   []shard
	shift    uint
	recent   atomic.Int64 // the latest instant at which the last but one batch of new records of a shard began
	_        apart
	count    atomic.Int64  // records held, and places reserved for one; never above capacity
	turn     atomic.Uint32 // the shard that Evict begins at
}

const (
	minSlots = 8

	// shardCapacity is the number of records that a further shard is worth.
	shardCapacity = 256
	maxShards     = 256

	// sweepStep is how many slots each insert looks at for dead records to
	// reclaim. Any number above 1 keeps ahead of the inserts; with this one, where
	// records come and expire at a steady rate, a fifth more are held than live.
	sweepStep = 8

	// evictWindow is how many slots are compared for the next victims of
	// evictions, and victims how many those are: half of them are among the oldest
	// 4 % of all, 99 of a hundred among the oldest 21 %, whatever is used how often. A
	// table that is too small for two shards is compared whole, so that it evicts
	// exactly the record that expires first.
	evictWindow = 128
	victims     = 4

	// batches is how many batches of new records fill the table.
	batches = 64

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
	t := &Table{owner: owner, limit: min(limit, never), capacity: int64(capacity), shards: make([]shard, n), shift: hiBits}
	for ; n > 1; n /= 2 {
		t.shift--
	}
	return t
}

// shard picks by the top bits of Hi; the home in a block is by the top bits of Lo.
func (t *Table) shard(k Key) *shard { return &t.shards[uint64(k.Hi)>>(t.shift&63)] }

// begin and end bracket every move of records. Called with s locked.
func (s *shard) begin() { s.seq.Add(1) }
func (s *shard) end()   { s.seq.Add(1) }

// A Found is a record in its place, as it was when it was found. (It has four
// fields because the compiler keeps so many in registers, and five in memory.)
type Found struct {
	sl    *slot
	about uint64 // no other record of the shard has it
	life  life
	mark  uint64
}

// Expires, Leases, Ref, Stamp and Mark are those of the Record.
func (f Found) Expires() int64 { return f.life.expires() }
func (f Found) Leases() int    { return f.life.leases() }
func (f Found) Ref() uint32    { return refOf(f.about) }
func (f Found) Stamp() uint32  { return stampOf(f.about) }
func (f Found) Mark() uint64   { return f.mark }

// Holds reports whether the record has been in its place all the time since it
// was found. Then so has its ref: what the Owner said of it meanwhile is about
// this record. It may report false for a record that has only been moved.
func (f Found) Holds() bool {
	return f.sl.life.Load() != 0 && f.sl.about.Load() == f.about
}

// Get returns the record of k unless that has expired. The caller must ask whether
// its ref is alive, and then whether the record Holds: if it does not, what was found
// may be of several records, and the caller has to Get again. Get takes no lock
// unless writers of the shard keep getting in its way.
func (t *Table) Get(k Key, now int64) (Found, bool) {
	s := t.shard(k)
	b := s.block.Load()
	if b == nil {
		return Found{}, false
	}
	for i := b.start(k); ; i = b.next(i) {
		sl := &b.slots[i]
		about := sl.about.Load() // before the rest, which Holds then vouches for
		lo := sl.lo.Load()
		if lo == k.Lo && uint16(about) == k.Hi {
			if l := sl.load(); now < l.expires() {
				return Found{sl, about, l, sl.mark.Load()}, true
			}
			break
		}
		if lo == 0 {
			break
		}
	}
	return t.search(s, k, now)
}

// search is Get where that is not all there is to it.
func (t *Table) search(s *shard, k Key, now int64) (Found, bool) {
	for try := range spins {
		if try > 8 {
			runtime.Gosched()
		}
		seq := s.seq.Load()
		_, f := s.block.Load().find(k)
		if now < f.life.end(t.limit) {
			return f, true
		}
		// If it is not being written and nothing has moved, it is not there; else it
		// may be, or be somewhere else.
		written := f.sl != nil && f.life == 0
		if !written && seq&1 == 0 && s.seq.Load() == seq {
			return Found{}, false
		}
	}
	// Writers were in the way too often.
	s.mu.Lock()
	defer s.mu.Unlock()
	_, f := s.block.Load().find(k)
	return f, now < f.life.end(t.limit)
}

// live reports whether the record in sl, whose life is l, is good.
func (t *Table) live(sl *slot, l life, now int64) bool {
	return now < l.end(t.limit) && (!t.owner.Dying() || t.owner.Alive(sl.ref()))
}

// Touch makes the expiry of the record slide to expires, never back, and takes
// a lease on it if lease is set. If the record has gone it does nothing. If its
// expiry is within gap of expires, so that somebody has touched it just now, it
// lets that be, and takes no lease if there are plenty: a record that is used
// by many threads all the time would otherwise bounce between their caches. Nor
// does it take a lease beyond MaxLeases.
//
// k is the key of the record that was found. Touch returns the expiry that it
// now has, or 0 if it has gone, and whether the caller has a lease to end.
//
// There is one imprecision: a record that takes this one's place just as Touch
// acts, and has the same life to the nanosecond, is touched as well. Of two that
// a caller makes that is hardly ever so, but a Set that keeps the expiry makes one
// of the kind; a lease that is taken in that moment has nobody to end it.
func (t *Table) Touch(k Key, f Found, expires, gap int64, lease bool) (expiry int64, leased bool) {
	for {
		l := f.sl.load()
		if !f.Holds() {
			return t.touchAway(k, f, expires, gap, lease, false, false)
		}
		next := l.touched(expires, gap, lease)
		if next == l {
			return l.expires(), false
		}
		if f.sl.swap(l, next) {
			took := next.leases() > l.leases()
			if !f.Holds() {
				return t.touchAway(k, f, expires, gap, lease, true, took)
			}
			return next.expires(), took
		}
	}
}

// touchAway is Touch for a record that has moved or gone: perhaps just as its life was
// swapped for a new one, which took a lease or not. If the swap was in time, it took its
// new life along, with the lease.
func (t *Table) touchAway(k Key, f Found, expires, gap int64, lease, swapped, took bool) (expiry int64, leased bool) {
	l, next := t.alter(k, f.Stamp(), func(l life) life {
		if swapped && l.expires() >= expires {
			return l
		}
		return l.touched(expires, gap, lease)
	})
	return next.expires(), next.leases() > l.leases() || took && l == next && l != 0
}

// End tells that a use of the record of k that was found has ended: it gives
// back the lease, if the user has one, and makes the expiry slide to expires as
// Touch does. If the record has gone or died meanwhile, nothing happens. The
// imprecision of Touch is one of End, too.
func (t *Table) End(k Key, f Found, leased bool, expires, gap, now int64) {
	ended := func(l life) life {
		switch {
		case now >= l.end(t.limit):
			return l
		case !leased:
			return l.touched(expires, gap, false)
		case l.leases() == 0:
			return l
		}
		return l.ended(expires)
	}
	for {
		l := f.sl.load()
		if !f.Holds() {
			t.alter(k, f.Stamp(), ended)
			return
		}
		if next := ended(l); next == l || f.sl.swap(l, next) {
			return
		}
	}
}

// Untouch takes back a Touch that has made the expiry of the record of k slide
// to used: it is expires again. If the record has another stamp, was touched
// since or has a lease, or a lease has ended that led to the same expiry, nothing
// happens.
func (t *Table) Untouch(k Key, stamp uint32, used, expires int64) {
	t.alter(k, stamp, func(l life) life {
		if l.leases() > 0 || l&stands != 0 || l.expires() != used {
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
	_, found := s.block.Load().find(k)
	if found.sl == nil || found.Stamp() != stamp {
		return 0, 0
	}
	for {
		l = found.sl.load()
		next = f(l)
		if l == next || found.sl.swap(l, next) {
			return l, next
		}
	}
}

// A Change is what became of a [Table.Set].
type Change uint8

const (
	Left     Change = iota // all is as it was
	Replaced               // another record of the key, dead or alive
	Added                  // to the records of the table
)

// Set stores r under k, with its leases, if the live record there has the given
// stamp; stamp 0 means that there is none, and Any that it does not matter. It
// returns the record that is there afterwards, if any, and what it has done. If
// r.Expires is 0, r keeps the expiry of the record that it replaces, and is not stored
// where there is none. The table calls Release for what r replaces, not for r when it
// is not stored.
func (t *Table) Set(k Key, stamp uint32, r Record, now int64) (Found, Change) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if _, f := s.block.Load().find(k); f.sl != nil {
			live := t.live(f.sl, f.life, now)
			if live && stamp != Any && f.Stamp() != stamp {
				return f, Left
			}
			if !live && stamp != Any && stamp != 0 {
				return Found{}, Left
			}
			stored := r
			if r.Expires == 0 {
				stored.Expires = f.Expires()
			}
			stored.Stamp = s.nextStamp()
			if f.sl.replace(f.life, k, &stored) {
				t.owner.Release(f.Ref())
				return f.sl.found(), Replaced
			}
			continue // refreshed just now: look again
		}
		if stamp != 0 && stamp != Any || r.Expires == 0 {
			return Found{}, Left
		}
		switch {
		case t.reserve():
		case s.used == 0:
			s.mu.Unlock()
			t.Evict(now)
			s.mu.Lock()
			continue
		case !t.evict(s, now):
			continue
		}
		t.sweep(s, now)
		s.grow()
		s.used++
		t.added(s, now)
		r.Stamp = s.nextStamp()
		return s.block.Load().insert(k, &r).found(), Added
	}
}

// added notes that a new record is in s.
func (t *Table) added(s *shard, now int64) {
	if s.batch++; s.batch*batches*len(t.shards) < int(t.capacity) {
		return
	}
	for was := t.recent.Load(); was < s.began && !t.recent.CompareAndSwap(was, s.began); {
		was = t.recent.Load()
	}
	s.began, s.batch = now, 0
}

// Recent returns since when the latest new records have come in: some one or two
// 64ths of all that there is room for. What is recorded as used since then may in
// truth have been used later: it is among the last to be evicted either way.
func (t *Table) Recent() int64 { return t.recent.Load() }

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

func (s *shard) nextStamp() uint32 {
	s.stamp = max(1, (s.stamp+1)&(1<<stampBits-1))
	return s.stamp
}

// grow makes room for one more record, keeping three tenths of the slots free so
// that searches stay short. It adds a quarter, so that a shard of some size is never
// more than 45 % empty on its way up: a record takes 46 to 57 bytes.
func (s *shard) grow() {
	old := s.block.Load()
	n := old.len()
	if (s.used+1)*10 <= n*7 {
		return
	}
	b := newBlock(max(minSlots, (n+n/4+1)&^1))
	s.begin()
	b.take(old)
	s.block.Store(b)
	s.end()
	s.hand += s.hand / 4 // about where it was among the records, and within the block
}

// remove frees slot i, whose life the caller has seen to be l. It gives up if
// that was lengthened in the meantime. What it was counted for is the caller's to
// give back, or to use for another record.
func (t *Table) remove(s *shard, i uint, l life) bool {
	b := s.block.Load()
	s.begin()
	if !b.slots[i].swap(l, 0) {
		s.end()
		return false
	}
	ref := b.slots[i].ref()
	b.fill(i)
	s.end()
	s.used--
	t.owner.Release(ref)
	return true
}

// sweep reclaims what is dead among the next few slots.
func (t *Table) sweep(s *shard, now int64) {
	b := s.block.Load()
	until, dying := now, t.owner.Dying()
	if dying {
		until = math.MaxInt64 // of the dead the ends do not matter
	}
	for left := min(sweepStep, b.len()); ; left-- {
		if s.hand, left = b.soon(s.hand, left, t.limit, until); left == 0 {
			return
		}
		sl := &b.slots[s.hand]
		l := sl.load()
		dead := now >= l.end(t.limit) || dying && !t.owner.Alive(sl.ref())
		if dead && t.remove(s, s.hand, l) {
			t.count.Add(-1)
			continue // the gap was closed: the same slot may hold another
		}
		s.hand = b.next(s.hand)
	}
}

// A victim is a record that is to make room, and its life when it was chosen.
type victim struct {
	at   uint
	life life
	end  int64 // of the life
}

// evict removes the least valuable record of s, which must not be empty: one of the
// window that is dead, else the one that was unused for longest. The next ones to go
// are found by the same comparison. It may fail, if the window is empty or those that
// it found are used just now: then try again. What it was counted for: see remove.
func (t *Table) evict(s *shard, now int64) bool {
	if len(s.spares) == 0 {
		t.compare(s, now)
	}
	// Records may have been moved or used since: then their places have others
	// or their lives are other ones, and nothing happens. The places there still are,
	// since blocks only grow.
	b := s.block.Load()
	for len(s.spares) > 0 {
		v := s.spares[0]
		s.spares = slices.Delete(s.spares, 0, 1)
		if b.slots[v.at].load() == v.life && t.remove(s, v.at, v.life) {
			return true
		}
	}
	return false
}

// compare finds the next victims of s, the first of them first.
func (t *Table) compare(s *shard, now int64) {
	b := s.block.Load()
	window, most := min(evictWindow, b.len()), victims
	if len(t.shards) == 1 {
		window, most = b.len(), 1
	}
	s.spares = s.spares[:0]
	dying := t.owner.Dying()
	latest := int64(math.MaxInt64) // that a victim may end
	for left := window; ; left-- {
		until := latest
		if dying {
			until = math.MaxInt64
		}
		if s.hand, left = b.soon(s.hand, left, t.limit, until); left == 0 {
			return
		}
		i := s.hand
		s.hand = b.next(i)
		l := b.slots[i].load()
		v := victim{i, l, l.end(t.limit)}
		if now >= v.end || dying && !t.owner.Alive(b.slots[i].ref()) {
			s.spares = append(s.spares[:0], v)
			return
		}
		if v.end > latest {
			continue
		}
		if len(s.spares) == most {
			s.spares = s.spares[:most-1]
		}
		s.spares = append(s.spares, v)
		for j := len(s.spares) - 1; j > 0 && s.spares[j-1].end > v.end; j-- {
			s.spares[j-1], s.spares[j] = v, s.spares[j-1]
		}
		if len(s.spares) == most {
			latest = s.spares[most-1].end
		}
	}
}

// Evict removes some record that is among the least valuable. It may remove none if
// there is none, or if the one that it found is used just now.
func (t *Table) Evict(now int64) {
	start := t.turn.Add(1)
	for i := range t.shards {
		s := &t.shards[(uint(start)+uint(i))%uint(len(t.shards))]
		s.mu.Lock()
		had := s.used > 0
		if had && t.evict(s, now) {
			t.count.Add(-1)
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
		i, f := s.block.Load().find(k)
		if f.sl == nil || stamp != 0 && f.Stamp() != stamp {
			return false
		}
		live := t.live(f.sl, f.life, now) // asked before its Owner may forget the ref
		if t.remove(s, i, f.life) {
			t.count.Add(-1)
			return live
		}
		// Refreshed just now: look again.
	}
}

// All calls yield for every live record until it returns false. It locks one
// shard at a time, and copies it, so yield may call the table; it sees records
// that are written meanwhile or not.
func (t *Table) All(now int64, yield func(Key, Found) bool) {
	type entry struct {
		key Key
		f   Found
	}
	var batch []entry
	for i := range t.shards {
		s := &t.shards[i]
		batch = batch[:0]
		s.mu.Lock()
		b := s.block.Load()
		for i := range b.len() {
			sl := &b.slots[i]
			if l := sl.load(); l != 0 && t.live(sl, l, now) {
				batch = append(batch, entry{sl.key(), sl.found()})
			}
		}
		s.mu.Unlock()
		for _, e := range batch {
			if !yield(e.key, e.f) {
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
		old := s.block.Load()
		s.begin()
		s.block.Store(nil)
		s.end()
		// Nobody finds a record from here on. Who has found one may touch it until it
		// is gone, as if that had been before.
		for i := range old.len() {
			if sl := &old.slots[i]; sl.life.Swap(0) != 0 {
				t.owner.Release(sl.ref())
			}
		}
		t.count.Add(int64(-s.used))
		s.used, s.hand, s.spares = 0, 0, nil
		s.mu.Unlock()
	}
}
