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

// A Table remembers the targets of sessions. All functions are safe for
// concurrent use.
type Table struct {
	// Lookup gets the targets of keys, one after the other, and makes their
	// expiries slide. It returns how many had one. (One call for many keys, so
	// that no time goes into the calls.)
	Lookup func(keys []string) int

	// Get returns the target of key and makes its expiry slide.
	Get func(key string) (target string, ok bool)

	// Set binds key to target. The table may keep the string.
	Set func(key, target string)

	// Invalidate removes the sessions of a target.
	Invalidate func(target string)

	stop func() // what the table has running; nil for nothing
}

// Close stops what the table has running.
func (t Table) Close() {
	if t.stop != nil {
		t.stop()
	}
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

// count is Lookup by get. Where that is no more than a call, it is a literal, so that the
// compiler inlines both.
func count(keys []string, get func(string) (string, bool)) (n int) {
	for _, key := range keys {
		if target, ok := get(key); ok && target != "" {
			n++
		}
	}
	return n
}

func newAffinity(capacity int, ttl time.Duration) Table {
	c, err := affinity.NewCache(affinity.CacheConfig{Capacity: capacity, TTL: ttl})
	if err != nil {
		panic(err) // of a capacity or ttl below zero
	}
	return Table{
		Lookup: func(keys []string) int {
			return count(keys, func(key string) (string, bool) { return c.Get(c.Key(key)) })
		},
		Get:        func(key string) (string, bool) { return c.Get(c.Key(key)) },
		Set:        func(key, target string) { c.Set(c.Key(key), target) },
		Invalidate: func(target string) { c.DeleteTarget(target) },
	}
}

func newPlain(_ int, ttl time.Duration) Table {
	m := plain.NewMap(ttl)
	return Table{
		Lookup:     func(keys []string) int { return count(keys, func(key string) (string, bool) { return m.Get(key) }) },
		Get:        m.Get,
		Set:        m.Set,
		Invalidate: m.Invalidate,
		stop:       m.SweepEvery(max(ttl/4, 100*time.Millisecond)),
	}
}

func newXsyncLoad(int, time.Duration) Table {
	m := xsync.NewMap[string, string]()
	return Table{
		Lookup: func(keys []string) int { return count(keys, func(key string) (string, bool) { return m.Load(key) }) },
		Get:    m.Load,
		Set:    m.Store,
		Invalidate: func(target string) {
			m.DeleteMatching(func(_, v string) (bool, bool) { return v == target, false })
		},
	}
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

func newXsyncTTL(_ int, ttl time.Duration) Table {
	c, m := clock{time.Now(), ttl}, xsync.NewMap[string, *record]()
	get := func(key string) (string, bool) {
		r, ok := m.Load(key)
		if !ok || !c.use(r) {
			return "", false
		}
		return r.target, true
	}
	return Table{
		Lookup: func(keys []string) int { return count(keys, get) },
		Get:    get,
		Set:    func(key, target string) { m.Store(key, c.record(target)) },
		Invalidate: func(target string) {
			m.DeleteMatching(func(_ string, r *record) (bool, bool) { return r.target == target, false })
		},
	}
}

func newSyncMap(_ int, ttl time.Duration) Table {
	c, m := clock{time.Now(), ttl}, new(sync.Map)
	get := func(key string) (string, bool) {
		v, ok := m.Load(key)
		if !ok {
			return "", false
		}
		r := v.(*record)
		return r.target, c.use(r)
	}
	return Table{
		Lookup: func(keys []string) int { return count(keys, get) },
		Get:    get,
		Set:    func(key, target string) { m.Store(key, c.record(target)) },
		Invalidate: func(target string) {
			m.Range(func(k, v any) bool {
				if v.(*record).target == target {
					m.Delete(k)
				}
				return true
			})
		},
	}
}

func newOtter(capacity int, ttl time.Duration) Table {
	c := otter.Must(&otter.Options[string, string]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryAccessing[string, string](ttl),
	})
	return Table{
		Lookup: func(keys []string) int {
			return count(keys, func(key string) (string, bool) { return c.GetIfPresent(key) })
		},
		Get: func(key string) (string, bool) { return c.GetIfPresent(key) },
		Set: func(key, target string) { c.Set(key, target) },
		Invalidate: func(target string) {
			for k, v := range c.All() {
				if v == target {
					c.Invalidate(k)
				}
			}
		},
		stop: func() { c.StopAllGoroutines() },
	}
}

func newPhuslu(capacity int, ttl time.Duration) Table {
	c := lru.NewTTLCache(capacity, lru.WithSliding[string, string](true))
	return Table{
		Lookup: func(keys []string) int { return count(keys, func(key string) (string, bool) { return c.Get(key) }) },
		Get:    c.Get,
		Set:    func(key, target string) { c.Set(key, target, ttl) },
		Invalidate: func(target string) {
			for _, k := range c.AppendKeys(nil) {
				if v, _, ok := c.Peek(k); ok && v == target {
					c.Delete(k)
				}
			}
		},
	}
}

func newTTLCache(capacity int, ttl time.Duration) Table {
	c := ttlcache.New(ttlcache.WithTTL[string, string](ttl), ttlcache.WithCapacity[string, string](uint64(capacity)))
	go c.Start()
	get := func(key string) (string, bool) {
		item := c.Get(key)
		if item == nil {
			return "", false
		}
		return item.Value(), true
	}
	return Table{
		Lookup: func(keys []string) int { return count(keys, get) },
		Get:    get,
		Set:    func(key, target string) { c.Set(key, target, ttlcache.DefaultTTL) },
		// By Range, which lets go of the lock for each item: Items would copy the whole
		// cache meanwhile, and keep all others waiting.
		Invalidate: func(target string) {
			var keys []string
			c.Range(func(item *ttlcache.Item[string, string]) bool {
				if item.Value() == target {
					keys = append(keys, item.Key())
				}
				return true
			})
			for _, k := range keys {
				c.Delete(k)
			}
		},
		stop: c.Stop,
	}
}

func newExpirable(capacity int, ttl time.Duration) Table {
	c := expirable.NewLRU[string, string](capacity, nil, ttl)
	get := func(key string) (string, bool) {
		target, ok := c.Get(key)
		if ok {
			c.Add(key, target)
		}
		return target, ok
	}
	return Table{
		Lookup: func(keys []string) int { return count(keys, get) },
		Get:    get,
		Set:    func(key, target string) { c.Add(key, target) },
		Invalidate: func(target string) {
			for _, k := range c.Keys() {
				if v, ok := c.Peek(k); ok && v == target {
					c.Remove(k)
				}
			}
		},
	}
}

// newYardstick returns the least that any table of hashed keys must do.
func newYardstick(capacity int, _ time.Duration) Table {
	words := make([][4]uint64, capacity)
	for i := range words {
		words[i][0] = 1
	}
	word := func(key string) *uint64 {
		i, _ := bits.Mul64(xxhash.Sum64String(key), uint64(len(words)))
		return &words[i][0]
	}
	return Table{
		Lookup: func(keys []string) (n int) {
			for _, key := range keys {
				if atomic.LoadUint64(word(key)) != 0 {
					n++
				}
			}
			return n
		},
		Get:        func(key string) (string, bool) { return "", atomic.LoadUint64(word(key)) != 0 },
		Set:        func(key, _ string) { atomic.StoreUint64(word(key), 1) },
		Invalidate: func(string) {},
	}
}
