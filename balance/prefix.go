package balance

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// PrefixConfig configures [Prefix]. ID is required; the zero value of every
// other field is a good default.
type PrefixConfig[T any] struct {
	CostConfig[T]

	// Boundaries says where a prompt may be cut, from its beginning on. nil
	// means (*extract.Request).Boundaries.
	Boundaries func(req *extract.Request) []extract.Boundary

	// MinTokens is the shortest beginning of a prompt that targets cache. 0
	// means 1024, as OpenAI and Anthropic have it; -1 means any.
	MinTokens int

	// Capacity is the largest number of boundaries that are remembered, each
	// for each target that holds it; what went unused for longest is
	// forgotten. A session has one for every 4 kB of its prompt and a few
	// more. 0 means 1 << 18, which takes up to 16 MB.
	Capacity int
}

const (
	defaultMinTokens = 1024
	defaultCapacity  = 1 << 18

	// perRequest is charged for a request beside its tokens, in tokens. It
	// keeps bursts of short prompts from going to one target.
	perRequest = 2000

	// A score is the product of what would be read anew and of the load that
	// the target would have then. These keep either from being nothing.
	leastMiss = 1000
	leastLoad = 1000
)

// Prefix returns a balancer that weighs what a target has in its cache against
// the work that it had lately: it takes the candidate with the least product of
// the tokens that would have to be read anew there and of its decayed cost with
// them. It keeps an index of the beginnings of prompts that targets were sent.
//
// So branches of a conversation, sub-agents and sessions of the same project
// find their common beginning, clients without any session id their
// conversation, and sessions their way home after an outage; but nothing
// attracts more the more it has, so a system prompt that all have in common is
// soon everywhere.
//
// As the fallback of a Selector it places sessions that are new, that were away
// for long or whose home is gone, and the others stay where they are. With an
// extractor that names no session, such as an empty extract.Chain, it decides
// for every request: that is a little more even where sessions are few and
// their prompts short, and moves some of them.
//
// It believes that a target holds what it was sent, and learns from the cached
// tokens in outcomes how much of that is true after a pause. What LeastCost
// says of costs holds here too. A request costs a pass over its body, even one
// of a session that stays where it is, and one lock.
func Prefix[T any](cfg PrefixConfig[T]) affinity.Balancer[T] {
	if cfg.ID == nil {
		panic("balance: Prefix needs a function for the ID of a target")
	}
	if cfg.Boundaries == nil {
		cfg.Boundaries = (*extract.Request).Boundaries
	}
	if cfg.MinTokens == 0 {
		cfg.MinTokens = defaultMinTokens
	}
	if cfg.Capacity <= 0 {
		cfg.Capacity = defaultCapacity
	}
	p := &prefix[T]{cfg: cfg, ledger: newLedger(cfg.HalfLife, cfg.Cost, perRequest)}
	p.index.capacity = cfg.Capacity
	return p
}

type prefix[T any] struct {
	cfg    PrefixConfig[T]
	ledger *ledger
	all    belief
	index  holdings // its lock is that of placements, too
}

func (b *prefix[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	target, _, err := b.Place(ctx, req, candidates)
	return target, err
}

// prompt is what is known of the prompt of a request.
type prompt struct {
	cuts   []extract.Boundary
	bytes  int
	tokens float64 // an estimate
}

func (b *prefix[T]) prompt(req *extract.Request) prompt {
	p := prompt{bytes: size(req)}
	if req != nil {
		p.cuts = b.cfg.Boundaries(req)
	}
	if n := len(p.cuts); n > 0 {
		p.bytes = p.cuts[n-1].Bytes
	}
	p.tokens = float64(p.bytes) * b.ledger.perByte.get()
	return p
}

// A part is how much of a prompt a target holds, in bytes.
type part struct {
	sure   int // used not long ago
	likely int // used some time ago; at least sure
	kind   int // of pause, of what is likely
}

// parts finds out what targets hold of the prompt. Called with the index locked.
func (b *prefix[T]) parts(p *prompt, now int64) map[uint64]part {
	parts := make(map[uint64]part, 8)
	for _, cut := range p.cuts {
		if !b.index.visit(cut.Hash, func(target uint64, used int64) {
			held := parts[target]
			switch kind := pauseKind(now - used); {
			case kind == 0:
				held.sure, held.likely, held.kind = cut.Bytes, cut.Bytes, 0
			case kind < pauseKinds:
				held.likely, held.kind = cut.Bytes, kind
			}
			parts[target] = held
		}) {
			break // nobody holds more
		}
	}
	return parts
}

// expect estimates how many tokens of the prompt a target with that part of it
// has to read anew.
func (b *prefix[T]) expect(p *prompt, held part, a *account) float64 {
	if len(p.cuts) == 0 {
		return b.ledger.miss(p.tokens, false)
	}
	perByte := b.ledger.perByte.get()
	sure := float64(held.sure) * perByte * a.held.share(0, &b.all)
	likely := float64(held.likely) * perByte * a.held.share(held.kind, &b.all)
	hit := max(sure, likely)
	if hit < float64(b.cfg.MinTokens)*0.75 { // the tokens are an estimate
		return p.tokens
	}
	return max(0, p.tokens-hit)
}

func (b *prefix[T]) Place(_ context.Context, req *extract.Request, candidates []T) (target T, t affinity.Ticket, err error) {
	if len(candidates) == 0 {
		return target, t, affinity.ErrNoCandidates
	}
	p := b.prompt(req)
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	now := b.ledger.now()
	parts := b.parts(&p, now)
	bound := b.bound(candidates, now)
	var best choice
	var miss float64
	var held part
	b.cfg.visit(b.ledger, candidates, now, func(i int, a *account, load float64) {
		if load > bound {
			return
		}
		has := parts[hashOf(b.cfg.ID(candidates[i]))]
		m := b.expect(&p, has, a)
		if best.offer(i, a, (m+leastMiss)*(load+m+leastLoad)) {
			miss, held = m, has
		}
	})
	target = candidates[best.i]
	return target, b.send(&p, b.cfg.ID(target), best.account, miss, held, false, now), nil
}

// bound is the load that a target may have, by its weight, to take more.
func (b *prefix[T]) bound(candidates []T, now int64) float64 {
	if b.cfg.MaxShare <= 0 {
		return math.Inf(1)
	}
	sum, least := 0.0, math.Inf(1)
	b.cfg.visit(b.ledger, candidates, now, func(_ int, _ *account, load float64) {
		sum += load
		least = min(least, load)
	})
	return max(least, b.cfg.MaxShare*sum/float64(len(candidates)))
}

// send enters that the target of a has been sent the prompt. Called with the
// index locked.
func (b *prefix[T]) send(p *prompt, id string, a *account, miss float64, held part, warm bool, now int64) affinity.Ticket {
	b.index.clock = max(b.index.clock+1, now)
	for _, cut := range p.cuts {
		b.index.enter(cut.Hash, sending{hashOf(id), b.index.clock})
	}
	t := b.ledger.charge(a, p.bytes, p.tokens, miss, warm, now)
	t.Time, t.Memo[1] = b.index.clock, held.pack()
	return t
}

func (b *prefix[T]) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	p := b.prompt(req)
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	now := b.ledger.now()
	a := b.ledger.account(id, 0, now)
	held := b.parts(&p, now)[hashOf(id)]
	miss := b.expect(&p, held, a)
	if len(p.cuts) == 0 {
		miss = b.ledger.miss(p.tokens, warm)
	}
	return b.send(&p, id, a, miss, held, warm, now)
}

func (b *prefix[T]) Settle(id string, t affinity.Ticket, o affinity.Outcome) {
	switch learned := b.ledger.settle(id, t, o); {
	case o.Result == affinity.TransientFailure, o.Result == affinity.TerminalFailure:
		b.index.mu.Lock()
		defer b.index.mu.Unlock()
		b.index.cancel(sending{hashOf(id), t.Time})
	case learned:
		b.learn(id, unpack(t.Memo[1]), o.Usage)
	}
}

// learn compares what the target was believed to hold with what it had.
func (b *prefix[T]) learn(id string, held part, u affinity.Usage) {
	perByte := b.ledger.perByte.get()
	sure, likely := float64(held.sure)*perByte, float64(held.likely)*perByte
	from := 0.0
	if held.kind > 0 {
		from = sure
	}
	if likely-from < float64(max(b.cfg.MinTokens, 1)) {
		return
	}
	share := min(max((float64(u.Cached)-from)/(likely-from), 0), 1)
	b.all.observe(held.kind, share)
	if a := (*b.ledger.accounts.Load())[id]; a != nil {
		a.held.observe(held.kind, share)
	}
}

func (b *prefix[T]) Overloaded(id string) bool {
	return b.cfg.MaxShare > 0 && b.ledger.share(id, b.ledger.now()) > b.cfg.MaxShare
}

func hashOf(id string) uint64 { return xxhash.Sum64String(id) }

// pack and unpack carry a part through a ticket.
func (h part) pack() uint64 {
	const most = 1<<30 - 1
	return uint64(h.kind)<<60 | uint64(min(h.likely, most))<<30 | uint64(min(h.sure, most))
}

func unpack(memo uint64) part {
	const most = 1<<30 - 1
	return part{sure: int(memo & most), likely: int(memo >> 30 & most), kind: int(memo >> 60)}
}

// Pauses are of kinds: short, some minutes, up to an hour. After more than that
// nothing is expected to be left.
var pauses = [...]time.Duration{5 * time.Minute, 20 * time.Minute, time.Hour}

const pauseKinds = len(pauses)

func pauseKind(ns int64) int {
	kind := 0
	for kind < pauseKinds && ns >= int64(pauses[kind]) {
		kind++
	}
	return kind
}

// A belief is which share of the prompts that a target should hold it really
// has after a pause, by its kind.
type belief [pauseKinds]struct {
	mean mean
	n    atomic.Uint64
}

const (
	// trust is the least weight of one observation: there are few.
	trust = 0.1

	// prior is how many observations of its own a target needs to count as
	// much as what is known of all.
	prior = 4
)

func (b *belief) observe(kind int, share float64) {
	m, n := &b[kind].mean, b[kind].n.Add(1)
	m.set(m.get() + (share-m.get())*max(trust, 1/float64(n)))
}

// share is what to count on: in the light of all targets, and of one that has
// shown little yet everything. One that has most prompts of a moment ago has
// them all: what it lacked was not finished yet.
func (b *belief) share(kind int, all *belief) float64 {
	n, common := float64(b[kind].n.Load()), 1.0
	if all != nil {
		common = all.share(kind, nil)
	}
	share := (b[kind].mean.get()*n + common*prior) / (n + prior)
	if kind == 0 && share >= 0.5 {
		return 1
	}
	return share
}
