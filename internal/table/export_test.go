package table

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	SlotSize  = unsafe.Sizeof(slot{})
	SweepStep = sweepStep
)

// Record returns the record that was found.
func (f Found) Record() Record {
	return Record{Expires: f.Expires(), Leases: f.Leases(), Ref: f.Ref(), Stamp: f.Stamp(), Mark: f.Mark()}
}

// Look is Get for who wants the Record too, and none whose ref is dead. It asks
// in the order that Get says.
func (t *Table) Look(k Key, now int64) (Record, Found, bool) {
	for {
		f, ok := t.Get(k, now)
		if !ok {
			return Record{}, Found{}, false
		}
		alive := !t.owner.Dying() || t.owner.Alive(f.Ref())
		switch {
		case !f.Holds():
		case alive:
			return f.Record(), f, true
		default:
			return Record{}, Found{}, false
		}
	}
}

// Put is Set for who wants the Record.
func (t *Table) Put(k Key, stamp uint32, r Record, now int64) (Record, bool) {
	f, change := t.Set(k, stamp, r, now)
	if f == (Found{}) {
		return Record{}, change != Unchanged
	}
	return f.Record(), change != Unchanged
}

// Each is All for who wants the Records.
func (t *Table) Each(now int64, yield func(Key, Record) bool) {
	t.All(now, func(k Key) bool {
		r, _, ok := t.Look(k, now)
		return !ok || yield(k, r)
	})
}

// EndLease is End for who has a lease on a record that may have moved.
func (t *Table) EndLease(k Key, stamp uint32, expires, now int64) {
	t.End(k, Found{sl: new(slot), ident: identOf(k, 0, stamp)}, true, expires, 0, now)
}

// TouchMoved is what Touch does once it has swapped the life of a record that then no longer
// held, and has taken a lease if took is set.
func (t *Table) TouchMoved(k Key, stamp uint32, expires int64, took bool) (expiry int64, leased bool) {
	return t.touchMoved(k, Found{ident: identOf(k, 0, stamp)}, expires, 0, true, true, took)
}

// TouchWhatGoes calls Touch for the record of k, as it was found in a slot where it and
// another record with the same life take turns all the time. It returns once a call has
// touched both, or after n calls.
func (t *Table) TouchWhatGoes(k Key, stamp uint32, n int) (both bool) {
	f := Found{sl: new(slot), ident: identOf(k, 0, stamp)}
	var done atomic.Bool
	var turns sync.WaitGroup
	turns.Go(func() {
		for !done.Load() {
			f.sl.ident.Store(f.ident + 1<<hiBits)
			f.sl.ident.Store(f.ident)
		}
	})
	for e := int64(1); e < int64(n) && !both; e++ {
		f.sl.life.Store(uint64(lifeOf(e, 0)))
		t.Touch(k, f, e+1, 0, false)
		is, _ := t.Get(k, 0)
		both = f.sl.load().expires() == e+1 && is.Expires() == e+1
	}
	done.Store(true)
	turns.Wait()
	return both
}

// Shards returns the number of shards.
func (t *Table) Shards() int { return len(t.shards) }

// ShardOf returns the number of the shard that k belongs to.
func (t *Table) ShardOf(k Key) int {
	for i := range t.shards {
		if &t.shards[i] == t.shard(k) {
			return i
		}
	}
	return -1
}

// Slots returns the number of slots.
func (t *Table) Slots() int {
	n := 0
	for i := range t.shards {
		n += t.shards[i].block.Load().len()
	}
	return n
}

// Bytes returns what the shards and their slots take.
func (t *Table) Bytes() int {
	return len(t.shards)*int(unsafe.Sizeof(shard{})) + t.Slots()*int(SlotSize)
}

// SetStamp makes stamp the last one that was given out in the shard of k.
func (t *Table) SetStamp(k Key, stamp uint32) { t.shard(k).stamp = stamp }

// Seq returns the sequence number of the shard of k.
func (t *Table) Seq(k Key) uint64 { return t.shard(k).seq.Load() }

// WhileItMoves calls f while a writer is about to move the record of k, which is nowhere to be
// found.
func (t *Table) WhileItMoves(k Key, f func()) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.block.Load().find(k)
	s.seq.Add(1)
	l, lo := found.sl.life.Swap(0), found.sl.lo.Swap(0)
	f()
	found.sl.lo.Store(lo)
	found.sl.life.Store(l)
	s.seq.Add(1)
}

// Replace writes r over the record of k as if that had been seen to expire
// then, and to have no lease.
func (t *Table) Replace(k Key, expires int64, r Record) bool {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.block.Load()
	i, _ := b.find(k)
	return b.slots[i].replace(lifeOf(expires, 0), k, &r)
}

// Contents returns all records, dead or alive. If the table is not as it should
// be, it says how. Nobody else may use the table meanwhile.
func (t *Table) Contents() (map[Key]Record, error) {
	records := make(map[Key]Record)
	for n := range t.shards {
		s := &t.shards[n]
		if s.seq.Load()&1 != 0 {
			return nil, fmt.Errorf("shard %d: records are still moving", n)
		}
		if !s.mu.TryLock() {
			return nil, fmt.Errorf("shard %d: still locked", n)
		}
		s.mu.Unlock()
		b := s.block.Load()
		used := 0
		for i := range b.len() {
			sl := &b.slots[i]
			l := sl.load()
			if l == 0 {
				if lo := sl.lo.Load(); lo != 0 {
					return nil, fmt.Errorf("shard %d: slot %d has no record and the key %x", n, i, lo)
				}
				continue
			}
			used++
			k, r := sl.key(), sl.found().Record()
			if _, ok := records[k]; ok {
				return nil, fmt.Errorf("shard %d: two records of key %x", n, k)
			}
			records[k] = r
			if t.shard(k) != s {
				return nil, fmt.Errorf("shard %d: key %x belongs to another", n, k)
			}
			if r.Expires <= 0 {
				return nil, fmt.Errorf("shard %d: expiry %d", n, r.Expires)
			}
			if r.Stamp == 0 {
				return nil, fmt.Errorf("shard %d: stamp 0", n)
			}
			for j := b.home(k); j != uint(i); j = b.next(j) {
				if b.slots[j].load() == 0 {
					return nil, fmt.Errorf("shard %d: no way from slot %d to %d", n, b.home(k), i)
				}
			}
		}
		if used != s.used {
			return nil, fmt.Errorf("shard %d: %d slots taken, %d counted", n, used, s.used)
		}
		if used*10 > b.len()*7 {
			return nil, fmt.Errorf("shard %d: %d of %d slots taken", n, used, b.len())
		}
		if s.hand > 0 && s.hand >= uint(b.len()) {
			return nil, fmt.Errorf("shard %d: hand at %d of %d", n, s.hand, b.len())
		}
	}
	if n := t.count.Load(); n != int64(len(records)) {
		return nil, fmt.Errorf("%d records, %d counted", len(records), n)
	}
	if int64(len(records)) > t.capacity {
		return nil, fmt.Errorf("%d records, capacity is %d", len(records), t.capacity)
	}
	return records, nil
}
