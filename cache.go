package affinity

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/internal/clock"
	"github.com/go-affinity/affinity/internal/digest"
	"github.com/go-affinity/affinity/internal/registry"
	"github.com/go-affinity/affinity/internal/table"
)

const (
	// DefaultTTL is how long a binding lives after its last use unless
	// configured: the longest lifetime of a provider's prompt cache. To
	// believe in a dead cache costs some balance; to forget a live one costs
	// the whole prompt.
	DefaultTTL = time.Hour

	// DefaultCapacity is how many bindings a Cache holds at most unless
	// configured. Full, it takes about 55 MB.
	DefaultCapacity = 1 << 20
)

// maxTTL is as good as for ever, and leaves room for the time to which it is added,
// and to tell when a binding that has it was used last.
const maxTTL = 4 * 365 * 24 * time.Hour

// CacheConfig configures a [Cache]. The zero value is good.
type CacheConfig struct {
	// TTL is how long a binding lives after its last use. 0 means DefaultTTL;
	// any positive duration will do. More than four years are four years.
	TTL time.Duration

	// Capacity is the largest number of bindings. 0 means DefaultCapacity.
	// A full Cache evicts to make room: expired bindings first, then those that end
	// first, exactly below 512 and by sampling above (nearly always from among the first
	// fifth). These are the least recently used, except that Config.Lifetime may make
	// others end before, and that those of requests under way go last.
	Capacity int
}

// A Key names a session in a [Cache]: an 80-bit digest, keyed with a secret of
// the Cache that made it ([Cache.Key]), so that it tells nothing about the id. Of
// a million sessions, two have the same once in a million million Caches. The zero
// Key names no session: it is never bound.
type Key struct{ k table.Key }

// A Digest is a short keyed digest that stands for a session in headers, logs
// and metrics. It is the same for every request of a conversation, also where
// each turn has a [Key] of its own, and differs from one process to the next.
// Its first six hexadecimal digits stand for the session's tenant and scope; the others
// are evenly spread, so that d%10 == 0 is true of a tenth of all sessions. The zero
// Digest stands for no session.
type Digest uint64

const (
	scopeBits   = 24
	flagBits    = 2
	sessionBits = 64 - scopeBits - flagBits

	// asideBit marks the records of second places ([Binding.Aside]), and stateBit
	// those of state ([Binding.State]). No digest has them.
	asideBit = 1 << sessionBits
	stateBit = 2 << sessionBits
)

// digest stands for the session of that scope whose first key is k. A part of
// the key will do, since the key itself is a keyed digest.
func (k Key) digest(scope Digest) Digest {
	return scope | Digest(max(k.k.Lo&(1<<sessionBits-1), 1))
}

func (d Digest) scope() Digest { return d &^ (1<<(sessionBits+flagBits) - 1) }

// fraction places the session somewhere from 0 up to 1, evenly.
func (d Digest) fraction() float64 { return float64(d&(1<<sessionBits-1)) / (1 << sessionBits) }

// String returns 16 hexadecimal digits, or "" for the zero Digest.
func (d Digest) String() string {
	if d == 0 {
		return ""
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(d)))
}

// MarshalText implements [encoding.TextMarshaler] by String: as a number in JSON it would
// be too large for some readers.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by ParseDigest.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

// ParseDigest reads what [Digest.String] has written.
func ParseDigest(s string) (Digest, error) {
	if s == "" {
		return 0, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, errors.New("affinity: the digest of a session is 16 hexadecimal digits")
	}
	return Digest(binary.BigEndian.Uint64(b)), nil
}

// A Binding is what a [Cache] knows of a session.
type Binding struct {
	Target  string    // the ID of the session's home
	Session Digest    // stands for the session where people read it
	Scope   Digest    // stands for its tenant and scope: see Selector.Scope
	Expires time.Time // when the binding ends unless it is used before; past if only Active keeps it

	// Active is the number of requests under way that keep the binding alive
	// until their outcome is reported, whatever the TTL. It saturates: at 31 it
	// stays.
	Active int

	// Aside says that Target is not the home of the session but its second
	// place: where it was before, or the detour while its home is away. That
	// is a binding of its own, beside the one of the home.
	Aside bool

	// State says that Target holds state which requests of the session may refer
	// to: see Selection.Learn. That is a binding of its own, too.
	State bool
}

// A Cache is a sharded table of bindings: which session has its home at which
// target. Bindings expire when unused, and the least valuable make room when
// it is full.
//
// It holds keyed digests in place of ids, and target IDs once each rather than
// once a binding; the garbage collector does not look into it. Reads take no
// lock. Expired bindings are reclaimed by later writes, a few at a time; there
// is no goroutine (under heavy load a timer of a millisecond, see [Cache.Get]).
// No operation locks the whole table, and none but those that say so visits it.
//
// A [Selector] has one of its own; give it yours ([Config.Cache]) to look
// after it by hand, or to hand it on to the Selector of a new configuration.
// Use [NewCache]. All methods are safe for concurrent use.
type Cache struct {
	ttl     int64
	clock   *clock.Clock
	secret  digest.Key
	kinds   digest.Key // of what names a session: no Key that a caller makes is that of a Selector's session
	targets *registry.Registry
	table   *table.Table

	// These save look-ups of what was never stored. Each is raised before the first
	// such record is written, and stays.
	asides  atomic.Bool // there may be second places
	learned atomic.Bool // there may be state on targets
	varied  atomic.Bool // lifetimes of bindings may differ
}

// raise sets flag. It writes only the first time, since every request reads from the
// cache line that the flag is in.
func raise(flag *atomic.Bool) {
	if !flag.Load() {
		flag.Store(true)
	}
}

// NewCache returns an empty Cache. One that is used in a bubble of [testing/synctest]
// must be made there, since time is another outside. The error, if any, names the field
// of the configuration that is at fault.
func NewCache(cfg CacheConfig) (*Cache, error) {
	if cfg.TTL < 0 {
		return nil, errors.New("affinity: CacheConfig.TTL is negative")
	}
	if cfg.Capacity < 0 {
		return nil, errors.New("affinity: CacheConfig.Capacity is negative")
	}
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	cfg.TTL = min(cfg.TTL, maxTTL)
	if cfg.Capacity == 0 {
		cfg.Capacity = DefaultCapacity
	}
	c := &Cache{
		ttl:     int64(cfg.TTL),
		clock:   clock.New(cfg.TTL < exactTTL),
		secret:  digest.NewKey(),
		kinds:   digest.NewKey(),
		targets: registry.New(table.MaxRef),
	}
	c.table = table.New(cfg.Capacity, int64(leaseLimit), c.targets)
	return c, nil
}

// exactTTL is the shortest TTL for which it does not matter if the time that
// goes by is told late by a few milliseconds.
const exactTTL = 1000 * clock.Precision

// Where the Cache is used all the time, a binding is written to now and then
// only, so that threads do not wait for each other, nor for memory: its expiry
// may lag behind its last use.
const (
	// maxLag is by how much, and lagShare what part of the TTL is the most.
	maxLag   = int64(time.Minute)
	lagShare = 64

	// finer is how many times less that is for a Selector, which decides by how
	// long a session has paused.
	finer = 16

	// closely is how close together requests come when the leases of some stand for
	// all.
	closely = int64(10 * time.Microsecond)
)

// lag is by how much the expiry of a binding that has that ttl may lag behind.
// Where new ones come in, it must not be taken for older than those before it.
func (c *Cache) lag(ttl, now int64) int64 {
	if !c.clock.Busy() {
		return 0
	}
	return max(0, min(maxLag, int64(uint64(ttl)/lagShare), now-c.table.Recent()))
}

// leaseLimit is how long a binding outlives its expiry because of requests
// that are under way: a caller that never reports the outcome of one must not
// hold it for ever.
const leaseLimit = time.Hour

// now is the age of the Cache in nanoseconds, plus 1: expiries are positive. Those
// who find a binding and use it may take clock.Now instead. It may be late by
// milliseconds, but is never behind a binding that was added: one that was used since
// must not look older to a full table.
func (c *Cache) now() int64 { return c.clock.Exact() }

// Key returns the key of the session that is named by parts, in order. Parts
// are kept apart: ("a", "bc") and ("ab", "c") are two sessions. No session of a Selector
// has such a key: [Selector.Peek] and [Cache.All] find those.
func (c *Cache) Key(parts ...string) Key {
	var sum digest.Sum
	for _, p := range parts {
		sum = c.secret.Add(sum, p)
	}
	return keyOf(sum)
}

// keyOf makes a Key of a digest. Either half of that is enough to tell two keys
// apart. Neither Lo nor that of the second place may be 0.
func keyOf(sum digest.Sum) Key {
	lo := sum.Lo ^ sum.Hi
	if lo+1 <= 1 {
		lo = 2
	}
	return Key{table.Key{Hi: uint16(sum.Hi), Lo: lo}}
}

// aside is the key of the second place of the session k.
func (k Key) aside() Key { return Key{table.Key{Hi: k.k.Hi, Lo: ^k.k.Lo}} }

// Get returns the ID of the target that k is bound to, and makes the expiry of
// the binding slide: it lives for another TTL from now. For all that is known of
// the binding, see [Cache.Peek].
//
// Where more than a thousand calls in a row come within 20 us of the one before, and
// the TTL is a second or more, one reading of the clock serves for a millisecond, and
// a binding is written to only now and then: its expiry may lag behind by a 64th of
// the TTL, but by no more than a minute, nor by more than the time in which the last
// thirtieth of the capacity or so was filled.
func (c *Cache) Get(k Key) (target string, ok bool) {
	if k == (Key{}) {
		return "", false
	}
	now := c.clock.Now()
	f, t := c.find(k, now)
	if t == nil {
		return "", false
	}
	to := now + c.ttl
	if gap := c.lag(c.ttl, now); to-f.Expires() > gap {
		c.table.Touch(k.k, f, to, gap, false)
	}
	return t.Name, true
}

// Peek returns what is known of the binding of k, and leaves everything as it is.
func (c *Cache) Peek(k Key) (Binding, bool) {
	if k == (Key{}) {
		return Binding{}, false
	}
	l, ok := c.lookup(k, c.now())
	if !ok {
		return Binding{}, false
	}
	return c.binding(&l), true
}

// Set binds k to target, in place of any other binding.
func (c *Cache) Set(k Key, target string) Binding {
	if k == (Key{}) {
		return Binding{}
	}
	now := c.now()
	l := c.set(k, target, uint64(k.digest(0)), now, now+c.ttl)
	return c.binding(&l)
}

// SetIfAbsent binds k to target unless it is bound, and returns the binding
// that holds. Of any number of concurrent calls for one key, exactly one
// returns true.
func (c *Cache) SetIfAbsent(k Key, target string) (Binding, bool) {
	if k == (Key{}) {
		return Binding{}, false
	}
	for {
		now := c.now()
		l, ok := c.bind(k, 0, target, uint64(k.digest(0)), now, now+c.ttl, false)
		if l.target != nil {
			return c.binding(&l), ok
		}
	}
}

// Delete removes the binding of k and reports whether there was one.
func (c *Cache) Delete(k Key) bool { return k != (Key{}) && c.table.Delete(k.k, 0, c.now()) }

// DeleteTarget removes every binding to target, at once and at a cost that
// does not depend on their number. A request that is being bound to target at
// the time may come out unbound.
func (c *Cache) DeleteTarget(target string) { c.targets.Kill(target) }

// DeleteFunc removes every binding for which match is true and returns their
// number, second places included. It visits the whole table, shard by shard,
// without stopping anybody.
func (c *Cache) DeleteFunc(match func(Key, Binding) bool) int {
	n := 0
	for l := range c.live() {
		if match(l.key, c.binding(&l)) && c.table.Delete(l.key.k, l.Stamp(), c.now()) {
			n++
		}
	}
	return n
}

// MoveFunc gives every session for whose binding match is true to target, and
// returns the number of bindings. They expire when they would have (those that live
// by requests under way, a TTL from now); outcomes of requests that began before do
// not act on them. Second places elsewhere for which match is true are forgotten.
// State stays where it is ([Binding.State]). It visits the whole table, shard by
// shard, without stopping anybody.
func (c *Cache) MoveFunc(target string, match func(Key, Binding) bool) int {
	n := 0
	for l := range c.live() {
		switch {
		case l.target.Name == target || l.state() || !match(l.key, c.binding(&l)):
		case l.aside():
			c.table.Delete(l.key.k, l.Stamp(), c.now())
		default:
			var expires int64 // as it is
			if now := c.now(); l.Expires <= now {
				expires = now + c.ttl // it lived by the leases of requests under way
			}
			if _, ok := c.bind(l.key, l.Stamp(), target, l.Mark(), c.now(), expires, false); ok {
				n++
			}
		}
	}
	return n
}

// Clear removes every binding.
func (c *Cache) Clear() { c.table.Clear() }

// Len returns the number of bindings held, those among them that have ended
// and were not reclaimed yet. It never exceeds the capacity.
func (c *Cache) Len() int { return c.table.Len() }

// Counts returns the number of live bindings of every target that has any, without
// second places. A session may have several, for its threads, its last turns and the
// state that was learned; to count sessions, gather Binding.Session over [Cache.All]. It
// visits the whole table, shard by shard, without stopping anybody.
func (c *Cache) Counts() map[string]int {
	counts := make(map[string]int)
	for l := range c.live() {
		if !l.aside() {
			counts[l.target.Name]++
		}
	}
	return counts
}

// All returns an iterator over the live bindings, in no order. Bindings that
// are made or changed meanwhile may be missing or not; the loop may use the
// Cache.
func (c *Cache) All() iter.Seq2[Key, Binding] {
	return func(yield func(Key, Binding) bool) {
		for l := range c.live() {
			if !yield(l.key, c.binding(&l)) {
				return
			}
		}
	}
}

func (c *Cache) live() iter.Seq[located] {
	return func(yield func(located) bool) {
		now := c.now()
		c.table.All(now, func(k table.Key, f table.Found) bool {
			t := c.targets.Get(f.Ref())
			if !f.Holds() { // it is elsewhere, or the number may be that of another target by now
				l, ok := c.lookup(Key{k}, now)
				return !ok || yield(l)
			}
			return yield(located{f, f.Expires(), Key{k}, t, now})
		})
	}
}

// located is a binding as the table has it, with its key and its target.
type located struct {
	table.Found
	Expires int64 // as it is now
	key     Key
	target  *registry.Target
	now     int64 // when it was looked up
}

func (l *located) session() Digest { return Digest(l.Mark() &^ (asideBit | stateBit)) }
func (l *located) aside() bool     { return l.Mark()&asideBit != 0 }
func (l *located) state() bool     { return l.Mark()&stateBit != 0 }

func (c *Cache) binding(l *located) Binding {
	return Binding{
		Target:  l.target.Name,
		Session: l.session(),
		Scope:   l.session().scope(),
		Expires: c.clock.Time(l.Expires),
		Active:  l.Leases(),
		Aside:   l.aside(),
		State:   l.state(),
	}
}

// find finds the live binding of k and its target, which is nil if there is none.
func (c *Cache) find(k Key, now int64) (table.Found, *registry.Target) {
	for {
		f, ok := c.table.Get(k.k, now)
		if !ok {
			return f, nil
		}
		t := c.targets.Get(f.Ref())
		if t != nil && t.Dead() {
			t = nil
		}
		if f.Holds() { // or the number may be that of another target by now
			return f, t
		}
	}
}

// locate is lookup for those who have room for the answer.
func (c *Cache) locate(k Key, now int64, l *located) bool {
	f, t := c.find(k, now)
	if t == nil {
		return false
	}
	// One by one, since the compiler makes a copy of a whole one.
	l.Found, l.Expires, l.key, l.target, l.now = f, f.Expires(), k, t, now
	return true
}

// lookup finds the live binding of k.
func (c *Cache) lookup(k Key, now int64) (l located, ok bool) {
	ok = c.locate(k, now, &l)
	return l, ok
}

// touch makes the expiry of a binding slide that was found by lookup, unless it
// is within gap of what it would be, and takes a lease on it if asked to. It
// reports whether it has taken one.
func (c *Cache) touch(l *located, ttl, gap int64, lease bool) bool {
	to := l.now + ttl
	if lease {
		gap = min(gap, closely)
	} else if to-l.Expires <= gap {
		return false
	}
	expires, leased := c.table.Touch(l.key.k, l.Found, to, gap, lease)
	if expires != 0 {
		l.Expires = expires
	}
	return leased
}

// bind binds k to target if the live binding of k has the given stamp: see
// [table.Table.Set]. An expiry of 0 leaves it as it is, if there is a binding. It
// returns the binding that holds afterwards, which is zero if there is none, and
// whether it is the new one.
func (c *Cache) bind(k Key, stamp uint32, target string, mark uint64, now, expires int64, lease bool) (located, bool) {
	r := table.Record{Expires: expires, Mark: mark}
	if lease {
		r.Leases = 1
	}
	t := c.targets.Acquire(target)
	for t == nil { // millions of targets: the one with the fewest bindings goes soon
		c.table.Evict(now)
		t = c.targets.Acquire(target)
	}
	r.Ref = t.Ref
	f, change := c.table.Set(k.k, stamp, r, now)
	switch change {
	case table.Left:
		c.targets.Release(t.Ref)
		l, _ := c.lookup(k, now)
		return l, false
	case table.Added:
		c.clock.Pass(now) // what is used after this was used later
	}
	return located{f, f.Expires(), k, t, now}, true
}

// set binds k to target whatever it is bound to.
func (c *Cache) set(k Key, target string, mark uint64, now, expires int64) located {
	l, _ := c.bind(k, table.Any, target, mark, now, expires, false)
	return l
}

// end tells that a request has ended that used the binding of k that was found:
// it gives back its lease, if it has one, and lets the expiry slide, for a
// Selector, if ttl is not 0.
func (c *Cache) end(k Key, f table.Found, leased bool, ttl int64) {
	now, to := c.clock.Now(), int64(0)
	if ttl > 0 {
		if ttl < int64(exactTTL) {
			now = c.now()
		}
		to = now + ttl
	}
	c.table.End(k.k, f, leased, to, c.lag(ttl, now)/finer, now)
}

// unuse takes back that the binding of k was used by a request that failed:
// nothing came into its target's cache. It lets be what another one uses, or has
// used at the same instant and was served; but not a use that leaves no lease, such
// as that of a Pick, where it led to the same expiry.
func (c *Cache) unuse(k Key, stamp uint32, expires, used int64) {
	if c.now() < expires {
		c.table.Untouch(k.k, stamp, used, expires)
	}
}
