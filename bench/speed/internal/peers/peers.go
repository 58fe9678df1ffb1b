// Package peers puts tables of sessions, ours and those of others, under one
// roof, so that all can be asked to do the same work.
package peers

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"
	"github.com/phuslu/lru"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/bench/internal/plain"
)

// A Table remembers the targets of sessions. All methods are safe for
// concurrent use.
type Table interface {
	// Lookup gets the targets of keys, one after the other, and makes their
	// expiries slide. It returns how many had one. (One call for many keys, so
	// that no time goes into the calls.)
	Lookup(keys []string) int

	// Get returns the target of key and makes its expiry slide.
	Get(key string) (target string, ok bool)

	// Set binds key to target. The table may keep the string.
	Set(key, target string)

	// Invalidate removes the sessions of a target.
	Invalidate(target string)

	// Close stops what the table has running.
	Close()
}

// A Kind is a kind of Table.
type Kind struct {
	Name string

	// Lacks says what it does not do that others do; "" if it does it all:
	// sessions that expire when unused, and room for a fixed number.
	Lacks string

	// New returns a Table for that many sessions, each of which lives for ttl
	// after its last use.
	New func(capacity int, ttl time.Duration) Table
}

// Names of the kinds that others are compared with. Load is the yardstick for
// tables that do not expire, Yardstick for what no table can do without.
const (
	Ours      = "affinity"
	Plain     = "plain"
	Load      = "xsync.Map Load"
	Yardstick = "bare yardstick"
)

// Kinds are all kinds.
var Kinds = []Kind{
	{Ours, "", newAffinity},
	{Plain, "no limit to its size", newPlain},
	{Load, "never expires, no limit; a hit is a Load and nothing else", newXsyncLoad},
	{"xsync.Map + expiry", "no limit; what has expired stays", newXsyncTTL},
	{"sync.Map + expiry", "no limit; what has expired stays", newSyncMap},
	{"otter", "", newOtter},
	{"phuslu/lru", "expires by the second", newPhuslu},
	{"ttlcache", "", newTTLCache},
	{"golang-lru expirable", "a hit does not slide the expiry, so it is followed by an Add", newExpirable},
	{Yardstick, "remembers nothing: hashes the key and loads one word of 32 bytes a session", newYardstick},
}

// KindOf returns the kind of that name.
func KindOf(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// count is Lookup by a get that is a literal, so that the compiler inlines both.
func count(keys []string, get func(string) (string, bool)) (n int) {
	for _, key := range keys {
		if target, ok := get(key); ok && target != "" {
			n++
		}
	}
	return n
}

type affinityTable struct{ c *affinity.Cache }

func newAffinity(capacity int, ttl time.Duration) Table {
	c, err := affinity.NewCache(affinity.CacheConfig{Capacity: capacity, TTL: ttl})
	if err != nil {
		panic(err) // of a capacity or ttl below zero
	}
	return affinityTable{c}
}

func (t affinityTable) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.c.Get(t.c.Key(key)) })
}

func (t affinityTable) Get(key string) (string, bool) {
	return t.c.Get(t.c.Key(key))
}

func (t affinityTable) Set(key, target string)   { t.c.Set(t.c.Key(key), target) }
func (t affinityTable) Invalidate(target string) { t.c.DeleteTarget(target) }
func (t affinityTable) Close()                   {}

type plainTable struct {
	*plain.Map
	stop func()
}

func newPlain(_ int, ttl time.Duration) Table {
	m := plain.NewMap(ttl)
	return plainTable{m, m.SweepEvery(max(ttl/4, 100*time.Millisecond))}
}

func (t plainTable) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.Get(key) })
}

func (t plainTable) Close() { t.stop() }

type xsyncLoad struct{ m *xsync.Map[string, string] }

func newXsyncLoad(int, time.Duration) Table { return xsyncLoad{xsync.NewMap[string, string]()} }

func (t xsyncLoad) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.Get(key) })
}

func (t xsyncLoad) Get(key string) (string, bool) { return t.m.Load(key) }
func (t xsyncLoad) Set(key, target string)        { t.m.Store(key, target) }
func (t xsyncLoad) Close()                        {}

func (t xsyncLoad) Invalidate(target string) {
	t.m.DeleteMatching(func(_, v string) (bool, bool) { return v == target, false })
}

// A record is the value of a map that has no expiry of its own.
type record struct {
	target  string
	expires atomic.Int64
}

// A clock expires the records of such a map. Its times count from start.
type clock struct {
	start time.Time
	ttl   time.Duration
}

func (c clock) now() int64 { return int64(time.Since(c.start)) }

// record returns a new record, which expires after ttl.
func (c clock) record(target string) *record {
	r := &record{target: target}
	r.expires.Store(c.now() + int64(c.ttl))
	return r
}

// use makes the expiry of r slide, and reports whether r had not expired yet.
func (c clock) use(r *record) bool {
	now := c.now()
	if now > r.expires.Load() {
		return false
	}
	r.expires.Store(now + int64(c.ttl))
	return true
}

type xsyncTTL struct {
	clock
	m *xsync.Map[string, *record]
}

func newXsyncTTL(_ int, ttl time.Duration) Table {
	return xsyncTTL{clock{time.Now(), ttl}, xsync.NewMap[string, *record]()}
}

func (t xsyncTTL) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.Get(key) })
}

func (t xsyncTTL) Get(key string) (string, bool) {
	r, ok := t.m.Load(key)
	if !ok || !t.use(r) {
		return "", false
	}
	return r.target, true
}

func (t xsyncTTL) Set(key, target string) { t.m.Store(key, t.record(target)) }
func (t xsyncTTL) Close()                 {}

func (t xsyncTTL) Invalidate(target string) {
	t.m.DeleteMatching(func(_ string, r *record) (bool, bool) { return r.target == target, false })
}

type syncMap struct {
	clock
	m *sync.Map
}

func newSyncMap(_ int, ttl time.Duration) Table {
	return syncMap{clock{time.Now(), ttl}, new(sync.Map)}
}

func (t syncMap) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.Get(key) })
}

func (t syncMap) Get(key string) (string, bool) {
	v, ok := t.m.Load(key)
	if !ok {
		return "", false
	}
	r := v.(*record)
	return r.target, t.use(r)
}

func (t syncMap) Set(key, target string) { t.m.Store(key, t.record(target)) }
func (t syncMap) Close()                 {}

func (t syncMap) Invalidate(target string) {
	t.m.Range(func(k, v any) bool {
		if v.(*record).target == target {
			t.m.Delete(k)
		}
		return true
	})
}

type otterTable struct{ c *otter.Cache[string, string] }

func newOtter(capacity int, ttl time.Duration) Table {
	return otterTable{otter.Must(&otter.Options[string, string]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryAccessing[string, string](ttl),
	})}
}

func (t otterTable) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.c.GetIfPresent(key) })
}

func (t otterTable) Get(key string) (string, bool) { return t.c.GetIfPresent(key) }
func (t otterTable) Set(key, target string)        { t.c.Set(key, target) }
func (t otterTable) Close()                        { t.c.StopAllGoroutines() }

func (t otterTable) Invalidate(target string) {
	for k, v := range t.c.All() {
		if v == target {
			t.c.Invalidate(k)
		}
	}
}

type phuslu struct {
	c   *lru.TTLCache[string, string]
	ttl time.Duration
}

func newPhuslu(capacity int, ttl time.Duration) Table {
	return phuslu{lru.NewTTLCache(capacity, lru.WithSliding[string, string](true)), ttl}
}

func (t phuslu) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.Get(key) })
}

func (t phuslu) Get(key string) (string, bool) { return t.c.Get(key) }
func (t phuslu) Set(key, target string)        { t.c.Set(key, target, t.ttl) }
func (t phuslu) Close()                        {}

func (t phuslu) Invalidate(target string) {
	for _, k := range t.c.AppendKeys(nil) {
		if v, _, ok := t.c.Peek(k); ok && v == target {
			t.c.Delete(k)
		}
	}
}

type ttlTable struct {
	c *ttlcache.Cache[string, string]
}

func newTTLCache(capacity int, ttl time.Duration) Table {
	c := ttlcache.New(ttlcache.WithTTL[string, string](ttl), ttlcache.WithCapacity[string, string](uint64(capacity)))
	go c.Start()
	return ttlTable{c}
}

func (t ttlTable) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.Get(key) })
}

func (t ttlTable) Get(key string) (string, bool) {
	item := t.c.Get(key)
	if item == nil {
		return "", false
	}
	return item.Value(), true
}

func (t ttlTable) Set(key, target string) { t.c.Set(key, target, ttlcache.DefaultTTL) }
func (t ttlTable) Close()                 { t.c.Stop() }

func (t ttlTable) Invalidate(target string) {
	var keys []string
	t.c.Range(func(item *ttlcache.Item[string, string]) bool {
		if item.Value() == target {
			keys = append(keys, item.Key())
		}
		return true
	})
	for _, k := range keys {
		t.c.Delete(k)
	}
}

type expirableTable struct {
	c *expirable.LRU[string, string]
}

func newExpirable(capacity int, ttl time.Duration) Table {
	return expirableTable{expirable.NewLRU[string, string](capacity, nil, ttl)}
}

func (t expirableTable) Lookup(keys []string) int {
	return count(keys, func(key string) (string, bool) { return t.Get(key) })
}

func (t expirableTable) Get(key string) (string, bool) {
	target, ok := t.c.Get(key)
	if ok {
		t.c.Add(key, target)
	}
	return target, ok
}

func (t expirableTable) Set(key, target string) { t.c.Add(key, target) }
func (t expirableTable) Close()                 {}

func (t expirableTable) Invalidate(target string) {
	for _, k := range t.c.Keys() {
		if v, ok := t.c.Peek(k); ok && v == target {
			t.c.Remove(k)
		}
	}
}

// yardstick is the least that any table of hashed keys must do.
type yardstick struct{ words [][4]uint64 }

func newYardstick(capacity int, _ time.Duration) Table {
	t := yardstick{make([][4]uint64, capacity)}
	for i := range t.words {
		t.words[i][0] = 1
	}
	return t
}

func (t yardstick) slot(key string) *[4]uint64 {
	i, _ := bits.Mul64(xxhash.Sum64String(key), uint64(len(t.words)))
	return &t.words[i]
}

func (t yardstick) Lookup(keys []string) (n int) {
	for _, key := range keys {
		if atomic.LoadUint64(&t.slot(key)[0]) != 0 {
			n++
		}
	}
	return n
}

func (t yardstick) Get(key string) (string, bool) { return "", atomic.LoadUint64(&t.slot(key)[0]) != 0 }
func (t yardstick) Set(key, _ string)             { atomic.StoreUint64(&t.slot(key)[0], 1) }
func (t yardstick) Invalidate(string)             {}
func (t yardstick) Close()                        {}
