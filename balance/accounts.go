package balance

import (
	"iter"
	"math"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// An account is what a ledger knows of one target.
type account struct {
	id      string
	target  uint64      // the hash of id
	keeps   belief      // for Prefix, and
	reports atomic.Bool // whether the target has ever reported cached tokens

	mu       sync.Mutex // guards all that follows
	work     float64    // as it was at the instant at
	expected float64    // what sessions placed here are likely to cost yet, at the same instant
	at       int64      // when the account was opened, or the target last charged or a candidate
	closed   bool       // the account is no longer in the table: others may have taken its place

	// The last placement for which the target was a candidate, whether or not it
	// was chosen.
	candidateAt int64      // when that was; 0 is never
	weight      float64    // the target's weight then
	fairLoad    float64    // the work of all candidates by the weight of all
	othersLoad  float64    // the same without this one; 0 if there were no others
	pool        []*account // the candidates, this one among them, in a slice that they share; nil without ledger.pools
}

// advance lets the sums decay until now. a is locked by the caller.
func (a *account) advance(l *ledger, now int64) {
	a.work *= l.decay(now - a.at)
	a.expected *= l.decay(expectedDecay * (now - a.at))
	a.at = max(a.at, now)
}

// maxWork bounds the work of a target. What targets are charged with for an absence is a
// multiple of the work of others, so with weights that jump it could grow without end, and
// what is infinite never decays.
const maxWork = 1e30

// add adds to the sums. The cost is not negative, and expected does not fall below 0: add
// returns by how much it has grown. It reports false, and does nothing, if the account is
// closed.
func (a *account) add(l *ledger, cost, expected float64, now int64) (more float64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return 0, false
	}
	a.advance(l, now)
	a.work += cost
	more = max(expected, -a.expected)
	a.expected += more
	return more, true
}

// amend adds to the sums, which do not fall below 0, as if at an earlier time: what
// is added has decayed as the rest has.
func (a *account) amend(l *ledger, cost, expected float64, charged int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.work = max(0, a.work+cost*l.decay(a.at-charged))
	a.expected = max(0, a.expected+expected*l.decay(expectedDecay*(a.at-charged)))
}

// standing returns the work of a as it is now, and its weight, pool and fair load
// of the last placement.
func (a *account) standing(l *ledger, now int64) (work, weight float64, pool []*account, fairLoad float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.work * l.decay(now-a.at), a.weight, a.pool, a.fairLoad
}

// closeIfUnused closes the account if it was last used before that instant, and
// reports whether it did.
func (a *account) closeIfUnused(since float64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = float64(a.at) < since
	// A pool keeps accounts in memory, their pools others, and so on. The next placement
	// makes another one.
	a.pool = nil
	return a.closed
}

// accounts is a hash table with linear probing, at most half full, whose length is
// a power of two. It is read without a lock. The holder of ledger.mu adds entries
// in place, and removes some by making a new table.
type accounts []atomic.Pointer[account]

const (
	// maxAccounts is the largest number of accounts.
	maxAccounts = 1 << 16

	// idleHalfLives is how many half-lives an account has to go unused before it is
	// closed. A millionth of its work is left by then.
	idleHalfLives = 20
)

// hashOf returns the hash of a target's ID, which stands for it in tables.
func hashOf(id string) uint64 { return xxhash.Sum64String(id) }

// find returns the account of id, whose hash is target, and where it is in the
// table. If there is none, it returns nil and where it belongs.
func (t accounts) find(id string, target uint64) (a *account, at uint64) {
	mask := uint64(len(t) - 1)
	for at = target & mask; ; at = (at + 1) & mask {
		a = t[at].Load()
		if a == nil || a.target == target && a.id == id {
			return a, at
		}
	}
}

// known returns the account of id, or nil if there is none.
func (l *ledger) known(id string) *account {
	a, _ := (*l.accounts.Load()).find(id, hashOf(id))
	return a
}

// account returns the account of id, and opens one if there is none.
func (l *ledger) account(id string) *account {
	if a := l.known(id); a != nil {
		return a
	}
	return l.openAccount(id)
}

// openAccount is account for an id that has none, or had none a moment ago.
func (l *ledger) openAccount(id string) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	target := hashOf(id)
	a, at := (*l.accounts.Load()).find(id, target)
	if a != nil {
		return a
	}
	if l.open >= maxAccounts || 2*(l.open+1) > len(*l.accounts.Load()) {
		l.tidy()
		_, at = (*l.accounts.Load()).find(id, target)
	}
	a = &account{id: strings.Clone(id), target: target, weight: 1, at: l.now()}
	(*l.accounts.Load())[at].Store(a)
	l.open++
	return a
}

// tidy closes accounts that went unused for long, and makes a new table with room
// for as many accounts again as are left. If there are too many in use, it closes
// those that went unused for longer than the mean, and a quarter of them at least: they
// may all have been used at the same time. l.mu is held by the caller.
func (l *ledger) tidy() {
	since := float64(l.now()) - idleHalfLives*l.halfLife
	most := maxAccounts
	if l.open >= maxAccounts {
		most = maxAccounts / 4 * 3
		sum, n := 0.0, 0.0
		for a := range l.all() {
			a.mu.Lock()
			last := float64(a.at)
			a.mu.Unlock()
			if last > since {
				sum += last
				n++
			}
		}
		if n >= maxAccounts/2 {
			since = sum / n
		}
	}
	var kept []*account
	for a := range l.all() {
		if len(kept) == most {
			since = math.Inf(1)
		}
		if !a.closeIfUnused(since) {
			kept = append(kept, a)
		}
	}
	t := make(accounts, 16<<bits.Len(uint(len(kept)/4)))
	for _, a := range kept {
		_, at := t.find(a.id, a.target)
		t[at].Store(a)
	}
	l.open = len(kept)
	l.accounts.Store(&t)
}

// all yields the accounts, in no particular order.
func (l *ledger) all() iter.Seq[*account] {
	return func(yield func(*account) bool) {
		t := *l.accounts.Load()
		for i := range t {
			if a := t[i].Load(); a != nil && !yield(a) {
				return
			}
		}
	}
}
