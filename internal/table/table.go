// Package table stores fixed-size records under 80-bit keys, in memory that the garbage
// collector does not scan, for readers that take no lock.
//
// It knows nothing of sessions or targets. A record has an expiry, a reference (ref) that only
// the table's Owner understands, and a mark that the table only carries. Times are
// nanoseconds on the caller's clock. now must be less than nine years; an expiry may be
// later.
//
// A user of a record who will be back may take a lease on it. While there are leases, a
// record outlives its expiry, but only up to a limit, since a lease may be forgotten.
//
// # How it works
//
// The table is an array of shards. A shard is an open-addressing hash table with linear
// probing and backward-shift deletion, so there are no tombstones. Writers of a shard
// exclude each other by its mutex. Readers take no lock, so they have to notice when a writer
// has interfered:
//
//   - Writers make the shard's sequence number odd while records move within a block. A
//     reader that finds nothing looks again if the number was odd or has changed: the
//     record may have moved past it.
//   - A reader that finds a record whose life is 0 looks again: the record is being
//     written or removed, or has moved. In a block that was replaced by a larger one, all
//     records are like that.
//   - A reader that finds a record makes sure afterwards that it is still there: see
//     [Found.Holds].
//
// The life of a record (its expiry and its leases, in one word) is the exception. Anybody
// may lengthen it at any time by a compare-and-swap, without the lock. So a writer that
// removes, replaces or moves a record first swaps its life for 0, and never loses what
// another thread has done to it.
//
// table.go has the operations, evict.go what makes room, block.go the slots and how they are
// searched, and life.go the word with the expiry and the leases. A hit is fast because it
// mostly reads one cache line of slots, writes nothing unless the use has to be recorded
// ([Table.Touch]), and avoids branches that are hard to predict. model_test.go compares the
// table with a plain map, also by fuzzing (FuzzTable); parallel_test.go and moving_test.go
// let threads meet at each of the points above.
package table

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A Key is a well-mixed hash of 80 bits. The chance that any two of a million are the same
// is one in a million million. Lo must not be 0.
type Key struct {
	Hi uint16
	Lo uint64
}

// A Record is what is stored under a key.
type Record struct {
	Expires int64  // positive; the record is live while now < Expires, and longer while there are leases
	Leases  int    // at most MaxLeases
	Ref     uint32 // the Owner's reference, at most MaxRef
	Stamp   uint32 // set by the table: never 0, and different for each write to a shard
	Mark    uint64 // carried for the Owner
}

// A stamp, a ref and Key.Hi share a word of a slot. So stamps are as good as unique: one
// comes again after sixteen million writes to a shard.
const (
	hiBits    = 16
	stampBits = 24
	refBits   = 64 - hiBits - stampBits

	// MaxRef is the largest ref.
	MaxRef = 1<<refBits - 1

	// Any is the stamp of no record. In a call of Set or Delete, it means any stamp or none.
	Any = 1 << stampBits
)

// An Owner gives meaning to references. Its methods may be called with a shard locked:
// they must be quick and must not call the table.
type Owner interface {
	// Alive reports whether records with ref are still good. Writers treat the others as
	// absent. A ref that has died stays dead as long as there are records with it.
	Alive(ref uint32) bool

	// Dying reports whether there may be records whose ref is dead. If not, Alive is
	// not asked.
	Dying() bool

	// Release is called for each record with ref that has left the table.
	Release(ref uint32)
}

// A shard has its records in a block. seq and block are written with mu held and read by
// anybody; the other fields are guarded by mu.
type shard struct {
	seq     atomic.Uint64         // odd while records move within the block: see remove
	block   atomic.Pointer[block] // nil if there was no record since New or Clear
	_       pad
	mu      sync.Mutex
	began   int64    // when the present batch of new records began: see added
	batch   int      // how many are in it so far
	used    int      // slots that are taken, also by records that are not live
	hand    uint     // the slot that the next sweep or eviction looks at first
	victims []victim // chosen for the next evictions, the first to go first
	stamp   uint32   // the last that was given to a record
	evicted uint64   // see Table.Evicted
	_       pad
}

// pad keeps what readers need off the cache line that each writer dirties.
type pad [64]byte

// Table is the store. Use New. All methods are safe for concurrent use.
type Table struct {
	owner      Owner
	limit      int64 // how much leases lengthen a life, at most
	capacity   int64
	shards     []shard
	shardShift uint         // Key.Hi shifted right by this is the number of the shard
	recent     atomic.Int64 // see Recent
	_          pad
	count      atomic.Int64  // records held, and places that calls of Set have reserved; never above capacity
	turn       atomic.Uint32 // counts the calls of Evict, of which each begins with the next shard
}

const (
	// minSlots is the number of slots of a shard's first block. It is even: see block.
	minSlots = 8

	// A table has one shard for every shardCapacity records of its capacity, rounded down
	// to a power of two, but at least one and at most maxShards. (CacheConfig.Capacity tells
	// users what follows from this and from evictWindow.)
	shardCapacity = 256
	maxShards     = 256 // at most 1<<hiBits: see shard

	// spins is how often a reader searches again without the lock before it takes that.
	spins = 64
)

// New returns a table of at most capacity records, which must be positive. A record with
// leases lives until limit after its expiry, at most.
func New(capacity int, limit int64, owner Owner) *Table {
	if capacity <= 0 {
		panic("table: capacity must be positive")
	}
	n := 1
	for n < maxShards && capacity/(2*n) >= shardCapacity {
		n *= 2
	}
	t := &Table{owner: owner, limit: min(limit, never), capacity: int64(capacity), shards: make([]shard, n), shardShift: hiBits}
	for ; n > 1; n /= 2 {
		t.shardShift--
	}
	return t
}

// shard returns the shard of k. It goes by Hi, since the place within a block goes by Lo.
func (t *Table) shard(k Key) *shard { return &t.shards[uint64(k.Hi)>>(t.shardShift&63)] }

// A Found is a record as it was when it was found, and where it was. The zero Found is no
// record. (It has no more than four fields so that the compiler keeps it in registers.)
type Found struct {
	sl    *slot
	ident uint64 // see identOf
	life  life
	mark  uint64
}

// Expires, Leases, Ref, Stamp and Mark are those of the Record, when it was found.
func (f Found) Expires() int64 { return f.life.expires() }
func (f Found) Leases() int    { return f.life.leases() }
func (f Found) Ref() uint32    { return refOf(f.ident) }
func (f Found) Stamp() uint32  { return stampOf(f.ident) }
func (f Found) Mark() uint64   { return f.mark }

// Used reports whether the record had a lease, or its expiry from the End of one, when it was
// found. If not, it was merely stored or touched since anybody used it.
func (f Found) Used() bool { return f.life&(confirmed|MaxLeases) != 0 }

// Holds reports whether the record has been in its slot ever since it was found. If so,
// all that was read of it belongs together, and what the Owner has said of its ref since
// is about this record. It may report false for a record that was only moved.
//
// The life is asked first: a free slot has the ident of its last record until it is written,
// and a life again only after that.
func (f Found) Holds() bool {
	return f.sl.life.Load() != 0 && f.sl.ident.Load() == f.ident
}

// Get returns the record of k unless that has ended. It does not ask the Owner. The
// caller has to look at what the ref stands for, and then ask whether the record Holds. If
// it does not, the fields of the Found may be those of different records, and the caller
// has to Get again.
//
// Get takes no lock, unless writers of the shard keep getting in its way.
func (t *Table) Get(k Key, now int64) (Found, bool) {
	s := t.shard(k)
	b := s.block.Load()
	if b == nil {
		return Found{}, false
	}
	for i := b.start(k); ; i = b.next(i) { // as in find, to which a call would take too long
		sl := &b.slots[i]
		ident := sl.ident.Load() // before the rest, so that Holds vouches for that
		lo := sl.lo.Load()
		if lo == k.Lo && uint16(ident) == k.Hi {
			if l := sl.load(); l.beyond(now) {
				return Found{sl, ident, l, sl.mark.Load()}, true
			}
			break
		}
		if lo == 0 {
			break
		}
	}
	return t.search(s, k, now)
}

// search is Get where its first look has found no record, one that is being written, or one
// that lives by its leases if at all.
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
		// There is none, unless this one is being written or records have moved.
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

// live reports whether the record in sl, whose life is l, has not ended and has a ref that
// is alive. Called with the shard locked.
func (t *Table) live(sl *slot, l life, now int64) bool {
	return now < l.end(t.limit) && (!t.owner.Dying() || t.owner.Alive(sl.ref()))
}

// Touch makes the expiry of the record of k, which was found as f, slide to expires, but
// never back, and takes a lease on it if lease is set. It returns the expiry that the record
// then has, and whether the caller has a lease to End. If the record was replaced or removed,
// Touch does nothing and returns 0.
//
// An expiry within gap of expires is left as it is: somebody has touched the record just now,
// and if many threads use it all the time, its cache line would bounce between processors.
// For the same reason, Touch takes no lease in that case if there are plenty. It never takes
// one beyond MaxLeases. A negative gap counts as 0.
//
// There is one imprecision. If another record takes the slot of this one just as Touch
// acts, and has the same life to the nanosecond, the other record is touched instead, or as
// well. That may happen after a Set that kept the expiry, or if both were used when the
// caller's clock said the same; otherwise hardly ever. A lease taken at that moment is never
// ended. And if the record is moved and then shortened (Shorten) just as Touch acts, Touch
// takes two leases, of which the first is never ended.
func (t *Table) Touch(k Key, f Found, expires, gap int64, lease bool) (expiry int64, leased bool) {
	for {
		l := f.sl.load()
		if !f.Holds() {
			return t.touchMoved(k, f, expires, gap, lease, false, false)
		}
		next := l.touched(expires, gap, lease)
		if next == l {
			return l.expires(), false
		}
		if f.sl.swap(l, next) {
			took := next.leases() > l.leases()
			if !f.Holds() {
				return t.touchMoved(k, f, expires, gap, lease, true, took)
			}
			return next.expires(), took
		}
	}
}

// touchMoved is Touch for a Found that no longer Holds: the record was moved, replaced or
// removed. If swapped is set, Touch had swapped the life in the slot before it noticed, and
// taken a lease if took is set. If the record was moved after the swap, it took along its new
// life and the lease, as its expiry shows. If it was moved before, the life that was swapped
// is that of another record.
func (t *Table) touchMoved(k Key, f Found, expires, gap int64, lease, swapped, took bool) (expiry int64, leased bool) {
	l, next := t.update(k, f.Stamp(), func(l life) life {
		if swapped && l.expires() >= expires {
			return l
		}
		return l.touched(expires, gap, lease)
	})
	return next.expires(), next.leases() > l.leases() || took && l == next && l != 0
}

// End ends a use of the record of k, which was found as f. It gives back the lease, if leased
// says that the user has one, and makes the expiry slide to expires as Touch does; 0 leaves
// it as it is. If the record was replaced or removed, or has ended, End does nothing. It
// has the imprecision of Touch: in that case it ends a lease of the other record, and the
// lease of this one stays.
func (t *Table) End(k Key, f Found, leased bool, expires, gap, now int64) {
	ended := func(l life) life {
		if now >= l.end(t.limit) || leased && l.leases() == 0 {
			return l
		}
		return l.ended(expires, gap, leased)
	}
	for {
		l := f.sl.load()
		if !f.Holds() {
			t.update(k, f.Stamp(), ended)
			return
		}
		if next := ended(l); next == l || f.sl.swap(l, next) {
			return
		}
	}
}

// Untouch takes back a Touch that has made the expiry of the record of k, which was found as f,
// slide to used: the expiry is expires again and, if f has that, no less sure than it was. It does
// nothing if the record was replaced or has any lease, if it was touched since, or if an End has
// led to the same expiry. It reports whether it has done it.
func (t *Table) Untouch(k Key, f Found, used, expires int64) bool {
	l, next := t.update(k, f.Stamp(), func(l life) life {
		if l.leases() > 0 || l&confirmed != 0 || l.expires() != used {
			return l
		}
		if expires == f.Expires() {
			return f.life &^ MaxLeases
		}
		return l.withExpiry(expires)
	})
	return next != l
}

// Shorten makes the expiry of the record of k no later than expires. Its leases stay. It does
// nothing if the record has another stamp.
func (t *Table) Shorten(k Key, stamp uint32, expires int64) {
	t.update(k, stamp, func(l life) life {
		if l.expires() <= expires {
			return l
		}
		return l.withExpiry(expires)
	})
}

// update replaces the life of the record of k, if that has the given stamp, by what f returns
// for it. It returns the life before and after, or 0 for both if there is no such record. f
// may be called several times.
func (t *Table) update(k Key, stamp uint32, f func(life) life) (l, next life) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.block.Load().find(k)
	if found.sl == nil || found.Stamp() != stamp {
		return 0, 0
	}
	for {
		l = found.sl.load()
		if next = f(l); found.sl.swap(l, next) {
			return l, next
		}
	}
}

// A Change is what became of a [Table.Set].
type Change uint8

const (
	Unchanged Change = iota // nothing was stored
	Replaced                // stored in place of another record of the key, live or not
	Added                   // stored where the key had no record
)

// Set stores r under k, with its leases, if the live record of k has the given stamp. A stamp
// of 0 means that there must be no live record, and Any that it does not matter. The stamp of
// r itself is ignored. If r.Expires is 0, r gets the expiry of the record that it replaces,
// and is not stored if there is none.
//
// Set returns the record that k has afterwards, zero if it has none, and what it has done.
// It calls Release for a record that r has replaced, but not for r if that is not stored.
func (t *Table) Set(k Key, stamp uint32, r Record, now int64) (Found, Change) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if _, f := s.block.Load().find(k); f.sl != nil {
			live := t.live(f.sl, f.life, now)
			if live && stamp != Any && f.Stamp() != stamp {
				return f, Unchanged
			}
			if !live && stamp != Any && stamp != 0 {
				return Found{}, Unchanged
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
			continue // it was touched just now: look again
		}
		if stamp != 0 && stamp != Any || r.Expires == 0 {
			return Found{}, Unchanged
		}
		switch {
		case t.reserve():
		case s.used == 0: // the table is full of records of other shards
			s.mu.Unlock()
			t.Evict(now)
			s.mu.Lock()
			continue
		case !t.evict(s, now): // if it succeeds, r counts in place of what has gone
			continue
		}
		t.sweep(s, now)
		s.grow()
		s.used++
		t.added(s, now)
		r.Stamp = s.nextStamp()
		sl := s.block.Load().vacant(k)
		sl.write(k, &r)
		return sl.found(), Added
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

// nextStamp returns the stamp of the next record. Called with s locked.
func (s *shard) nextStamp() uint32 {
	s.stamp = max(1, (s.stamp+1)&(1<<stampBits-1))
	return s.stamp
}

// grow makes room for one more record. It keeps three tenths of the slots free, so that
// searches stay short. It adds a quarter at a time, so that a growing shard, unless it is tiny,
// is never more than 45 % empty: a record takes 46 to 57 bytes. Called with s locked.
func (s *shard) grow() {
	old := s.block.Load()
	n := old.len()
	if (s.used+1)*10 <= n*7 {
		return
	}
	b := newBlock(max(minSlots, (n+n/4+1)&^1))
	b.moveAll(old)
	s.block.Store(b)
}

// remove takes the record out of slot i, unless its life is no longer l: then it was touched
// since the caller looked, and remove reports false. The record still counts in t.count:
// the caller has to count it out, or to store another one in its place. Called with s
// locked.
func (t *Table) remove(s *shard, i uint, l life) bool {
	b := s.block.Load()
	if !b.slots[i].swap(l, 0) {
		return false
	}
	ref := b.slots[i].ref()
	s.seq.Add(1)
	b.close(i)
	s.seq.Add(1)
	s.used--
	t.owner.Release(ref)
	return true
}

// Delete removes the record of k if it has the given stamp, or whatever its stamp if stamp is
// Any, and reports whether the record was live.
func (t *Table) Delete(k Key, stamp uint32, now int64) bool {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		i, f := s.block.Load().find(k)
		if f.sl == nil || stamp != Any && f.Stamp() != stamp {
			return false
		}
		live := t.live(f.sl, f.life, now) // asked first, since after remove the Owner may forget the ref
		if t.remove(s, i, f.life) {
			t.count.Add(-1)
			return live
		}
		// It was touched just now: look again.
	}
}

// All calls yield for the key of every live record until it returns false. It copies one
// shard at a time with that locked, and calls yield without a lock, so yield may call the
// table. What is written meanwhile may or may not be seen.
func (t *Table) All(now int64, yield func(Key) bool) {
	var keys []Key
	for i := range t.shards {
		s := &t.shards[i]
		keys = keys[:0]
		s.mu.Lock()
		b := s.block.Load()
		for i := range b.len() {
			if sl := &b.slots[i]; t.live(sl, sl.load(), now) {
				keys = append(keys, sl.key())
			}
		}
		s.mu.Unlock()
		for _, k := range keys {
			if !yield(k) {
				return
			}
		}
	}
}

// Len returns the number of records held. Those that have ended or whose ref is dead count
// until they are reclaimed.
func (t *Table) Len() int { return int(t.count.Load()) }

// Clear removes every record, one shard after the other.
func (t *Table) Clear() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		old := s.block.Load()
		s.block.Store(nil)
		// From here on, nobody finds a record. Those who have found one already may still
		// touch it, as if they had done so before the Clear.
		for i := range old.len() {
			if sl := &old.slots[i]; sl.life.Swap(0) != 0 {
				t.owner.Release(sl.ref())
			}
		}
		t.count.Add(int64(-s.used))
		s.used, s.hand, s.victims = 0, 0, nil
		s.mu.Unlock()
	}
}
