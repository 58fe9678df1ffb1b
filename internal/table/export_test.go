package table

import (
	"fmt"
	"unsafe"
)

const (
	SlotSize  = unsafe.Sizeof(slot{})
	SweepStep = sweepStep
)

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
		n += len(t.shards[i].load())
	}
	return n
}

// Bytes returns what the shards and their slots take.
func (t *Table) Bytes() int {
	return len(t.shards)*int(unsafe.Sizeof(shard{})) + t.Slots()*int(SlotSize)
}

// SetStamp makes stamp the last one that was given out in the shard of k.
func (t *Table) SetStamp(k Key, stamp uint32) { t.shard(k).stamp = stamp }

// Replace writes r over the record of k as if that had been seen to expire
// then, and to have no lease.
func (t *Table) Replace(k Key, expires int64, r Record) bool {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := find(s.load(), k)
	return s.replace(&s.load()[i], lifeOf(expires, 0), k, &r)
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
		slots := s.load()
		used := 0
		for i := range slots {
			sl := &slots[i]
			l := sl.load()
			if l == 0 {
				continue
			}
			used++
			k, r := sl.key(), sl.record(l)
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
			for j := home(k, len(slots)); j != i; j = next(j, len(slots)) {
				if slots[j].load() == 0 {
					return nil, fmt.Errorf("shard %d: no way from slot %d to %d", n, home(k, len(slots)), i)
				}
			}
		}
		if used != s.used {
			return nil, fmt.Errorf("shard %d: %d slots taken, %d counted", n, used, s.used)
		}
		if used*5 > len(slots)*4 {
			return nil, fmt.Errorf("shard %d: %d of %d slots taken", n, used, len(slots))
		}
		if s.hand < 0 || s.hand > 0 && s.hand >= len(slots) {
			return nil, fmt.Errorf("shard %d: hand at %d of %d", n, s.hand, len(slots))
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
