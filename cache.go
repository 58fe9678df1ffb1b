package affinity

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/internal/census"
	"github.com/go-affinity/affinity/internal/clock"
	"github.com/go-affinity/affinity/internal/digest"
	"github.com/go-affinity/affinity/internal/registry"
	"github.com/go-affinity/affinity/internal/table"
)

const (
	// DefaultTTL is how long a binding lives after its last use unless configured. It is
	// the longest time for which providers commonly keep a prompt: following a binding
	// whose prompt is gone costs some balance, but forgetting one whose prompt is still
	// there costs the whole prompt.
	DefaultTTL = time.Hour

	// DefaultCapacity is how many bindings a Cache holds at most unless
	// configured. Full, it takes about 55 MB.
	DefaultCapacity = 1 << 20
)

// maxTTL bounds every TTL. It is as good as for ever, and such an expiry still fits into
// the 58 bits that a record has for it (nine years of nanoseconds).
const maxTTL = 4 * 365 * 24 * time.Hour

// CacheConfig configures a [Cache]. The zero value is a good default.
type CacheConfig struct {
	// TTL is how long a binding lives after its last use. 0 means DefaultTTL.
	// More than four years are taken as four years.
	TTL time.Duration

	// Capacity is the largest number of bindings. 0 means DefaultCapacity.
	//
	// A full Cache evicts to make room: expired bindings first, then those that would
	// expire first. Below a capacity of 512 that is exact; from there on, the victim
	// comes from a sample, and is nearly always among the fifth that would expire first.
	// Unless Config.Lifetime gives sessions different lifetimes, what expires first is what
	// was used least recently (by and large, under heavy load: see Cache.Get), and bindings
	// of requests under way go last.
	//
	// Cache.Evicted counts the bindings that were evicted before their time.
	Capacity int
}

// A Key names a session in a [Cache]. It is an 80-bit digest, keyed with a secret
// of the Cache that made it ([Cache.Key]): it tells nothing about the id, and means
// nothing to other Caches. The chance that any two of a million sessions have the same
// Key is one in a million million. The zero Key names no session and is never bound.
type Key struct{ k table.Key }

// A Digest is a short keyed digest that stands for a session in headers, logs and
// metrics. It is the same for every request of a conversation, and differs from one Cache
// to the next. Where each turn has a [Key] of its own, as with extract.Trail, it is the
// same for as long as turns take over the binding of an earlier one: if that is gone, the
// rest of the conversation has another Digest.
//
// Its first six hexadecimal digits stand for the session's tenant and scope
// ([Selector.Scope]). The others are evenly spread, so d%10 == 0 samples a tenth of all
// sessions. They have 38 bits: among a million sessions of one scope, about two pairs have
// the same Digest. The zero Digest stands for no session.
//
// You may send it to an upstream, say as a prompt_cache_key where the client sends none
// and no other Cache serves its turns. For a name that is the same in all processes, see
// the example Restart of balance.Rendezvous.
type Digest uint64

// A Digest has the bits of the scope on top, then flags that are always 0, then those of
// the session. The mark of a record is a Digest in which the flags say what the record is.
const (
	scopeBits   = 24
	flagBits    = 2
	sessionBits = 64 - scopeBits - flagBits

	asideBit = 1 << sessionBits // a second place: see Binding.Aside
	stateBit = 2 << sessionBits // state on a target: see Binding.State
)

// digest returns the Digest of the session of the given scope whose first key is k.
// It is a part of the key, which is a keyed digest already.
func (k Key) digest(scope Digest) Digest {
	return scope | Digest(max(k.k.Lo&(1<<sessionBits-1), 1))
}

// scope returns the bits of d that stand for the tenant and scope.
func (d Digest) scope() Digest { return d &^ (1<<(sessionBits+flagBits) - 1) }

// fraction maps the session to a number in [0, 1), evenly.
func (d Digest) fraction() float64 { return float64(d&(1<<sessionBits-1)) / (1 << sessionBits) }

// String returns 16 hexadecimal digits, or "" for the zero Digest.
func (d Digest) String() string {
	if d == 0 {
		return ""
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(d)))
}

// MarshalText implements [encoding.TextMarshaler] by String: some readers of JSON
// lose the last digits of so large a number.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by [ParseDigest].
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

// ParseDigest reads what [Digest.String] has written: 16 hexadecimal digits, in either
// case, or "" for the zero Digest. Anything else is an error.
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

// A Binding is an entry of a [Cache]: a copy, as it was when it was read.
type Binding struct {
	Target  string // the ID of the target
	Session Digest // stands for the session, as in Decision.Session
	Scope   Digest // stands for its tenant and scope: see Selector.Scope

	// Expires is when the binding ends unless it is used by then; in the past if only
	// Active keeps it. Take time.Until of it: its date does not know whether the wall clock
	// was set since NewCache.
	Expires time.Time

	// Active is the number of requests under way that keep the binding alive until
	// their outcome is reported, though not for more than an hour after Expires. A
	// count of 31 means many, and does not go down again.
	Active int

	// Aside says that Target is not the session's home but its second place: where
	// it was before it moved, or the detour while its home is away. The home has a
	// binding of its own; if that has gone, the second place is the home.
	Aside bool

	// State says that Target holds state that requests of the session may refer to, as
	// Selection.Learn was told. Unless the session is known by state alone, it also has a
	// binding of its own.
	State bool
}

// A Cache is a sharded table of bindings: which session has its home at which
// target. A binding expires when it is not used for a TTL, and those that would expire
// first make room when the table is full ([CacheConfig]).
//
// It holds keyed digests instead of ids, and each target's ID only once; the garbage
// collector does not scan it. Reads take no lock. No operation locks the whole table, and
// only those that say so visit all of it. Expired bindings are reclaimed by later writes,
// a few at a time; no goroutine runs for that. (Under heavy load there is a timer of a
// millisecond: see [Cache.Get].)
//
// A [Selector] has a Cache of its own. Give it yours ([Config.Cache]) to manage the
// bindings by hand, or to hand them on to the Selector of a new configuration.
//
// Use [NewCache]; the zero Cache does not work. All methods are safe for concurrent use. Do not
// print a Cache: that would show its secret, with which guesses at ids can be checked
// against the digests in a log.
type Cache struct {
	ttl     int64 // of bindings whose Selector has no Config.Lifetime
	mostLag int64 // mostLag(ttl)
	clock   *clock.Clock
	targets *registry.Registry
	table   *table.Table

	secret digest.Key // makes the keys
	kinds  digest.Key // makes what the keys of Selectors begin with: see Key

	// These save look-ups of what was never stored. Each is raised before the first
	// such record is written, and stays raised.
	asides  atomic.Bool // there may be second places
	learned atomic.Bool // there may be state on targets
	varied  atomic.Bool // lifetimes of bindings may differ

	_        [64]byte      // keeps what is written to off the cache line of the flags
	openings census.Census // of conversations, by the id that they have in common
}

// raise sets flag. It writes only the first time, since every request reads from the
// cache line that the flag is in.
func raise(flag *atomic.Bool) {
	if !flag.Load() {
		flag.Store(true)
	}
}

// NewCache returns an empty Cache. The error, if any, names the field of the
// configuration that is at fault. A Cache serves for nine years: what would end later than
// that after NewCache never expires. In a bubble of [testing/synctest], which has a time of
// its own, use only a Cache that was made there.
func NewCache(cfg CacheConfig) (*Cache, error) {
	if cfg.TTL < 0 {
		return nil, errors.New("affinity: CacheConfig.TTL is negative: want 0 for DefaultTTL, or more")
	}
	if cfg.Capacity < 0 {
		return nil, errors.New("affinity: CacheConfig.Capacity is negative: want 0 for DefaultCapacity, or more")
	}
	cfg.TTL = min(cmp.Or(cfg.TTL, DefaultTTL), maxTTL)
	cfg.Capacity = cmp.Or(cfg.Capacity, DefaultCapacity)
	c := &Cache{
		ttl:     int64(cfg.TTL),
		mostLag: mostLag(int64(cfg.TTL)),
		clock:   clock.New(cfg.TTL < exactTTL),
		secret:  digest.NewKey(),
		kinds:   digest.NewKey(),
		targets: registry.New(table.MaxRef),
	}
	c.table = table.New(cfg.Capacity, int64(leaseLimit), c.targets)
	return c, nil
}

// leaseLimit is how long a binding may outlive its expiry because requests are under
// way: a caller that never reports an outcome must not hold it for ever.
const leaseLimit = time.Hour

// exactTTL is the shortest TTL for which it does not matter that clock.Now may be
// a few milliseconds late.
const exactTTL = 1000 * clock.Precision

// now is the time in nanoseconds since the Cache was made, plus 1, so that every
// expiry is positive. It reads the system's clock. The hit path takes clock.Now instead,
// which may lag by milliseconds, but never behind the addition of a binding (see store):
// in a full table, a binding that is used after that must not look older than the new one.
func (c *Cache) now() int64 { return c.clock.Exact() }

// While the Cache is busy, not every use of a binding is written to it, so that
// threads need not wait for each other's cache lines. The expiry of a binding may then
// lag behind its last use.
const (
	// maxLag bounds the lag, and so does the TTL divided by lagShare.
	maxLag   = int64(time.Minute)
	lagShare = 64

	// finer divides the lag for a Selector, whose decisions depend on how long a
	// session has paused.
	finer = 16

	// leaseLag bounds the lag of a use that takes a lease: a lease is skipped only if there
	// are plenty already, from requests that came this close together.
	leaseLag = int64(10 * time.Microsecond)
)

// mostLag returns the bound on the lag of bindings with that ttl.
func mostLag(ttl int64) int64 { return min(maxLag, int64(uint64(ttl)/lagShare)) }

// lag returns by how much the expiry of a binding may lag behind its last use: by most, which is
// the mostLag of its ttl, but not so much that a binding in use looks older than the new ones that
// come in, and is evicted before them. It is negative, which counts as 0, if one came in just now.
func (c *Cache) lag(most, now int64) int64 {
	if !c.clock.Busy() {
		return 0
	}
	return min(most, now-c.table.Recent())
}

// Key returns the Key of the session that parts name, in order. Parts are kept apart:
// ("a", "bc") and ("ab", "c") are two sessions. These are sessions of the caller:
// whatever the parts, it is never the Key of a Selector's session. To find those, use
// [Selector.Peek] or [Cache.All].
func (c *Cache) Key(parts ...string) Key {
	if len(parts) == 1 { // mostly: see Get
		return keyOf(c.secret.Add(digest.Sum{}, parts[0]))
	}
	var sum digest.Sum
	if len(parts) == 0 {
		sum = c.kinds.Add(sum, "") // the key of no parts is as secret as any
	}
	for _, p := range parts {
		sum = c.secret.Add(sum, p)
	}
	return keyOf(sum)
}

// keyOf makes a Key of a digest, whose halves are independent, so that any 80 bits made
// of them tell two keys apart. Neither Lo nor ^Lo, the Lo of the second place, may be 0:
// see table.Key and aside.
func keyOf(sum digest.Sum) Key {
	lo := sum.Lo ^ sum.Hi
	if lo+1 <= 1 {
		lo = 2
	}
	return Key{table.Key{Hi: uint16(sum.Hi), Lo: lo}}
}

// within returns the digest that the keys of all sessions of a tenant and scope begin
// with.
func (c *Cache) within(tenant, scope string) (sum digest.Sum) {
	if tenant != "" || scope != "" { // most have neither, and make no call
		sum = c.tenancy(tenant, scope)
	}
	return sum
}

func (c *Cache) tenancy(tenant, scope string) digest.Sum {
	return c.secret.Add(c.secret.Add(digest.Sum{}, tenant), scope)
}

// scopeOf returns the part that the Digests of all sessions of a tenant and scope have
// in common.
func scopeOf(within digest.Sum) Digest { return Digest(within.Hi).scope() }

// stateKey returns the key of state on a target. It is that of a session whose ID is id
// and whose Source is "state".
func (c *Cache) stateKey(within digest.Sum, id string) Key {
	return keyOf(c.secret.Add(c.kinds.Add(within, "state"), id))
}

// aside returns the key of the second place of the session that has key k. It is its own
// inverse: the aside of that key is k.
func (k Key) aside() Key { return Key{table.Key{Hi: k.k.Hi, Lo: ^k.k.Lo}} }

// Get returns the ID of the target that k is bound to. That is a use of the binding:
// it lives for another TTL from now. To look without using it, and for all that is known
// of the binding, see [Cache.Peek].
//
// Under heavy load, Get trades precision for speed if the TTL is a second or more: after a
// thousand calls in a row, each within 20 microseconds of the one before. Then one reading
// of the clock serves for a millisecond (for tens of them where all processors are so busy
// that a timer is late), and not every use is written down. The expiry of a binding may lag
// behind its last use by the age of that reading and no more than the least of these: a 64th
// of the TTL, a minute, and the time that it took to fill the last sixteenth of the capacity
// or a part of that.
func (c *Cache) Get(k Key) (target string, ok bool) {
	// In a large table, look-ups wait for memory. They overlap as long as a processor holds all
	// instructions of Key and Get while it waits: some 300, where Zen 4 holds 320. A few more, and
	// each takes twice as long (bench/speed -run table).
	if k.k.Lo == 0 { // only that of the zero Key is
		return "", false
	}
	now := c.clock.Now()
	f, t := c.find(k, now)
	if t == nil {
		return "", false
	}
	to := now + c.ttl
	if gap := c.lag(c.mostLag, now); to-f.Expires() > gap {
		c.table.Touch(k.k, f, to, gap, false)
	}
	return t.Name, true
}

// Peek returns the binding of k. It does not count as a use and changes nothing.
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

// Set binds k to target for a TTL, in place of any other binding, and returns the new binding.
// Session, Scope, Aside and State of the former one stay. The new one expires no sooner than that
// would have (Config.Lifetime) and, as a second place, no later, lest it outlive the home.
// Outcomes of requests that the former one served do not act on it. For the zero Key, Set does
// nothing and returns the zero Binding.
//
// A Selector's session may have several bindings, of which Set changes one. To move the
// session, use MoveFunc.
func (c *Cache) Set(k Key, target string) Binding {
	if k == (Key{}) {
		return Binding{}
	}
	for {
		now, mark := c.now(), uint64(k.digest(0))
		l, ok := c.lookup(k, now)
		if ok { // the key may be one of a Selector's, from All
			mark = l.Mark()
		}
		var other located // the second place, or the home of which this is one
		c.locateAside(k, now, &other)
		expires := max(now+c.ttl, l.Expires)
		switch {
		case !l.aside():
		case l.Expires > now:
			expires = l.Expires
		case other.Expires > now: // it lives by requests under way
			expires = min(expires, other.Expires-1)
		}
		if l, ok = c.bind(k, l.Stamp(), target, mark, now, expires, false); ok {
			if !l.aside() && other.Expires > l.Expires { // the session is away
				l.target.Traits.Presence.Inherits(now)
			}
			return c.binding(&l)
		}
	}
}

// SetIfAbsent binds k to target for a TTL unless k is bound. It returns the binding
// that holds, and whether it is the new one. Of any number of concurrent calls for an
// unbound key, exactly one returns true. For the zero Key it does nothing.
//
// A binding where there was none, by SetIfAbsent or by Set, has the zero Scope: the key of
// a Selector's session, whose binding has ended, does not tell it, nor the Session.
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
func (c *Cache) Delete(k Key) bool { return k != (Key{}) && c.table.Delete(k.k, table.Any, c.now()) }

// DeleteTarget removes every binding to target, at once and at a cost that does not
// depend on their number. A session that is being bound to target at that moment may lose
// its binding, too. Sessions can be bound to target again afterwards.
func (c *Cache) DeleteTarget(target string) { c.targets.Kill(target) }

// DeleteFunc removes every binding for which match returns true, including second places
// and state, and returns their number. It visits the whole table, shard by shard, without
// holding up other calls; match may use the Cache.
func (c *Cache) DeleteFunc(match func(Key, Binding) bool) int {
	n := 0
	for l := range c.live() {
		if match(l.key, c.binding(&l)) && c.table.Delete(l.key.k, l.Stamp(), c.now()) {
			n++
		}
	}
	return n
}

// MoveFunc binds to target every session for whose binding match returns true, and returns
// the number of bindings moved. Each expires when it would have without the move, or when
// the session's second place at target would have if that is later. One that was kept alive
// only by requests under way expires a TTL from now. Outcomes of requests that began before
// do not act on them.
//
// Second places elsewhere for which match returns true are removed; state stays where it
// is, and match is not asked about it. MoveFunc visits the whole table, shard by shard,
// without holding up other calls; match may use the Cache.
func (c *Cache) MoveFunc(target string, match func(Key, Binding) bool) int {
	n := 0
	for l := range c.live() {
		switch {
		case l.target.Name == target || l.state() || !match(l.key, c.binding(&l)):
		case l.aside():
			c.table.Delete(l.key.k, l.Stamp(), c.now())
		default:
			now := c.now()
			at, _ := c.lookup(l.key, now) // match may have taken long, or used it
			var expires int64             // leaves it as it is
			if at.Expires <= now {
				expires = now + c.ttl // it lived by the leases of requests under way
			}
			var d located
			away := c.locateAside(l.key, now, &d) && d.Expires > max(at.Expires, expires)
			if away && d.target.Name == target {
				expires, away = d.Expires, false // it is there already
			}
			moved, ok := c.bind(l.key, l.Stamp(), target, l.Mark(), now, expires, false)
			if ok {
				n++
			}
			if ok && away {
				moved.target.Traits.Presence.Inherits(now)
			}
		}
	}
	return n
}

// Clear removes every binding, shard by shard; those that are made meanwhile may stay.
// Drains and what was learned about targets stay, too.
func (c *Cache) Clear() { c.table.Clear() }

// Len returns the number of bindings held, which never exceeds the capacity. It counts
// those that have ended until they are reclaimed; [Cache.Counts] leaves them out.
func (c *Cache) Len() int { return c.table.Len() }

// Evicted returns how many live bindings were evicted since the Cache was made, because it was
// full. Each may be a session that loses its home: if the number grows, the capacity is too small.
func (c *Cache) Evicted() uint64 { return c.table.Evicted() }

// Counts returns the number of live bindings of every target that has any, by its ID.
// Second places do not count. A session may have several bindings: for its threads, its
// last turns and the state that was learned. To count sessions, gather Binding.Session
// over [Cache.All]. Counts visits the whole table, shard by shard, without holding up
// other calls.
func (c *Cache) Counts() map[string]int {
	counts := make(map[string]int)
	for l := range c.live() {
		if !l.aside() {
			counts[l.target.Name]++
		}
	}
	return counts
}

// All returns an iterator over the live bindings, including second places and state, in
// no particular order. It may or may not yield bindings that are made or changed, or that
// expire, meanwhile. The loop may use the Cache.
func (c *Cache) All() iter.Seq2[Key, Binding] {
	return func(yield func(Key, Binding) bool) {
		for l := range c.live() {
			if !yield(l.key, c.binding(&l)) {
				return
			}
		}
	}
}

// live is All for those who need the records.
func (c *Cache) live() iter.Seq[located] {
	return func(yield func(located) bool) {
		now := c.now()
		c.table.All(now, func(k table.Key) bool {
			l, ok := c.lookup(Key{k}, now)
			return !ok || yield(l)
		})
	}
}

// A located is a record as it was found, with its key and its target. The zero located
// is no record; its target is nil and its stamp 0.
type located struct {
	table.Found
	Expires int64 // as of the last touch by this request; Found.Expires is that from before
	key     Key
	target  *registry.Target
	now     int64 // when it was looked up
}

func (l *located) session() Digest { return Digest(l.Mark() &^ (asideBit | stateBit)) }
func (l *located) aside() bool     { return l.Mark()&asideBit != 0 }
func (l *located) state() bool     { return l.Mark()&stateBit != 0 }

// binding returns what callers may know of l, which must have a target.
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

// find finds the live record of k and its target, which is nil if there is none.
//
// It takes no lock, so the record may be replaced while its target is looked up. If
// the record still holds after that, the target was the right one; if it does not,
// its number may be that of another target by now.
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
		if f.Holds() {
			return f, t
		}
	}
}

// locate is lookup into a located that the caller has, which saves a copy on the hit
// path. If it reports false, it has left l alone.
func (c *Cache) locate(k Key, now int64, l *located) bool {
	f, t := c.find(k, now)
	if t == nil {
		return false
	}
	// One by one: for a composite literal, the compiler makes a copy.
	l.Found, l.Expires, l.key, l.target, l.now = f, f.Expires(), k, t, now
	return true
}

// lookup finds the live record of k, without using it.
func (c *Cache) lookup(k Key, now int64) (l located, ok bool) {
	ok = c.locate(k, now, &l)
	return l, ok
}

// locateAside is locate for the second place of the session that has the key.
func (c *Cache) locateAside(k Key, now int64, l *located) bool {
	return c.asides.Load() && c.locate(k.aside(), now, l)
}

// locateEither finds the home of the session that has the key or, if it has none any more, its
// second place.
func (c *Cache) locateEither(k Key, now int64, l *located) bool {
	return c.locate(k, now, l) || c.locateAside(k, now, l)
}

// touch begins the use of a record by a request of a Selector: it makes the expiry slide to ttl
// after l was looked up, unless it is nearly there, and takes a lease on the record if asked to.
// It updates l.Expires, and reports whether it has taken a lease. If the record has gone, it
// does nothing.
func (c *Cache) touch(l *located, ttl int64, lease bool) bool {
	gap := c.lag(mostLag(ttl), l.now) / finer
	if lease {
		gap = min(gap, leaseLag)
	}
	expires, leased := c.table.Touch(l.key.k, l.Found, l.now+ttl, gap, lease)
	if expires != 0 {
		l.Expires = expires
	}
	return leased
}

// bind binds k to target, with a lease if asked to, provided that the live record of k
// has the given stamp: 0 stands for no live record, and table.Any for whatever there is.
// An expiry of 0 keeps that of the record which is replaced, and binds nothing if there
// is none.
//
// It returns the record that k has afterwards and whether that is the new one. If it is
// not, the record is zero if k has none.
func (c *Cache) bind(k Key, stamp uint32, target string, mark uint64, now, expires int64, lease bool) (located, bool) {
	t := c.targets.Acquire(target)
	for t == nil { // all numbers of targets are taken: evict until one has no bindings
		c.table.Evict(now)
		t = c.targets.Acquire(target)
	}
	return c.store(k, stamp, t, mark, now, expires, lease)
}

// bindTo is bind, without a lease, for the target of a binding that was found before. If
// that target has been invalidated since, or has lost its last binding, it binds nothing.
func (c *Cache) bindTo(k Key, stamp uint32, t *registry.Target, mark uint64, now, expires int64) {
	if c.targets.Retain(t) {
		c.store(k, stamp, t, mark, now, expires, false)
	}
}

// note binds key to target, with a lease if asked to, and reports whether there is one. If it
// is bound so already, that is a use of the record: an id may be told again, as each event of a
// response tells its own, and another record in its place would be without the leases on it.
func (c *Cache) note(key Key, target string, mark uint64, now, ttl int64, lease bool) (table.Found, bool) {
	l, _ := c.lookup(key, now)
	for done := false; !done; {
		if l.target != nil && l.target.Name == target && l.Mark() == mark {
			if expires, leased := c.table.Touch(key.k, l.Found, now+ttl, 0, lease); expires != 0 {
				return l.Found, leased
			}
		}
		l, done = c.bind(key, l.Stamp(), target, mark, now, now+ttl, lease)
	}
	return l.Found, lease
}

// store is bind for a target that was acquired or retained.
func (c *Cache) store(k Key, stamp uint32, t *registry.Target, mark uint64, now, expires int64, lease bool) (located, bool) {
	r := table.Record{Expires: expires, Ref: t.Ref, Mark: mark}
	if lease {
		r.Leases = 1
	}
	f, change := c.table.Set(k.k, stamp, r, now)
	switch change {
	case table.Unchanged:
		c.targets.Release(t.Ref)
		l, _ := c.lookup(k, now)
		return l, false
	case table.Added:
		c.clock.Pass(now) // a binding that is used from here on must look newer: see now
	}
	return located{f, f.Expires(), k, t, now}, true
}

// end ends the use of a record by a request of a Selector: it gives back the request's
// lease, if it has one, and if ttl is not 0 makes the expiry slide to ttl from now. If f
// has been replaced or removed it does nothing.
func (c *Cache) end(k Key, f table.Found, leased bool, ttl int64) {
	now, to := c.clock.Now(), int64(0)
	if ttl > 0 {
		if ttl < int64(exactTTL) {
			now = c.now()
		}
		to = now + ttl
	}
	c.table.End(k.k, f, leased, to, c.lag(mostLag(ttl), now)/finer, now)
}

// takeBack undoes a use of the record of k that has made its expiry slide to used: it is
// expires again, if that is yet to come. The request has failed, so nothing came into its
// target's cache.
//
// A use by another request stands, even one at the same instant that was served. Only a
// use that led to the same expiry and left no lease, such as that of a Pick, is taken
// back as well, since nothing tells it apart.
func (c *Cache) takeBack(k Key, f table.Found, expires, used int64) {
	if c.now() < expires {
		c.table.Untouch(k.k, f, used, expires)
	}
}

// moveBack ends the record of k, a home or a second place, that was made at began by a
// failover of which nothing came, unless another request has used it. If it was a home, what
// is left is the second place, mostly that of which it had taken the place: that is the home
// again. (Not while requests are under way there. Their outcomes act on the second place,
// which a Selector makes the home when it meets it.)
func (c *Cache) moveBack(k Key, f table.Found, used, began int64) {
	now := c.now()
	if _, ok := c.lookup(k, now); !ok || !c.table.Untouch(k.k, f, used, began) {
		return // another has used it, it has ended by itself, or its target was invalidated
	}
	var second located
	if c.locateAside(k, now, &second) && second.aside() && second.Leases() == 0 {
		c.bindTo(k, 0, second.target, uint64(second.session()), now, second.Expires)
	}
}
