package balance

import (
	"context"
	"sync/atomic"
	"time"

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
	// more. 0 means 1 << 18. Each takes 64 bytes, so that is 17 MB, of which
	// 2 MB are taken at once. It is 2,048 at least.
	Capacity int
}

const (
	defaultMinTokens = 1024
	defaultCapacity  = 1 << 18

	// A score is the product of what would be read anew and of the load that
	// the target would have then. These keep either from being nothing.
	leastMiss = 1000
	leastLoad = 1000

	// A session stays where it is placed, so what it saves once is weighed
	// against what it will cost there: were it not, targets that hold what most
	// sessions begin with would get most of them. So much of that counts, since
	// others can be placed elsewhere later, which makes up for the rest.
	stay = 0.4
)

// Prefix returns a balancer that weighs what a target has in its cache against
// the work that it had lately: it takes the candidate with the least product of
// the tokens that would have to be read anew there and of its decayed cost with
// them. Of a session that will stay, what it is likely to cost later is added to
// the former, so that work counts for more. It keeps an index of the beginnings
// of prompts that targets were sent.
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
// for every request: that finds a little more in caches, and moves some sessions.
//
// It believes that a target holds what it was sent, and learns from the cached
// tokens in outcomes how much of that is true after a pause. What LeastCost
// says of costs holds here too. A request costs a pass over its body, even one
// of a session that stays where it is, and takes one lock, twice.
func Prefix[T any](cfg PrefixConfig[T]) affinity.Balancer[T] {
	if cfg.ID == nil {
		panic("balance: Prefix needs an id function")
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
	return &prefix[T]{costs: newCosts(cfg.CostConfig), cfg: cfg, index: newHoldings(cfg.Capacity)}
}

type prefix[T any] struct {
	costs[T]
	cfg   PrefixConfig[T]
	all   belief
	index holdings // its lock is that of placements, too
}

func (b *prefix[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	target, _, err := b.Place(ctx, req, candidates)
	return target, err
}

// prompt is what is known of the prompt of a request that has boundaries.
type prompt struct {
	cuts    []extract.Boundary
	bytes   int
	tokens  float64 // an estimate
	perByte float64
}

func (b *prefix[T]) prompt(req *extract.Request) (p prompt) {
	if req == nil {
		return p
	}
	if p.cuts = b.cfg.Boundaries(req); len(p.cuts) > 0 {
		p.bytes = max(p.cuts[len(p.cuts)-1].Bytes, 0)
		p.tokens = b.ledger.tokens(p.bytes)
		p.perByte = p.tokens / float64(max(p.bytes, 1))
	}
	return p
}

// A part is how much of a prompt a target holds, in bytes.
type part struct {
	sure   int // used not long ago
	likely int // used some time ago; at least sure
	kind   int // of pause, of what is likely
}

// include takes in a boundary, of which the target was sent the prompt so long
// ago. Boundaries come in any order.
func (h *part) include(cut extract.Boundary, ago int64) {
	switch kind := pauseKind(ago); {
	case kind == 0:
		h.sure = max(h.sure, cut.Bytes)
	case kind == pauseKinds:
		return
	default:
		if cut.Bytes > h.likely {
			h.likely, h.kind = cut.Bytes, kind
		}
	}
	if h.sure >= h.likely {
		h.likely, h.kind = h.sure, 0
	}
}

// survey finds out what the candidates hold of the prompt. Called with the
// index locked.
func (b *prefix[T]) survey(p *prompt, f *field, now int64) {
	if len(p.cuts) == 0 {
		return
	}
	f.enter()
	for _, cut := range p.cuts {
		if !b.index.visit(cut.Hash, func(target uint64, at int64) {
			if r := f.find(target); r != nil {
				r.held.include(cut, now-at)
			}
		}) {
			break // nobody holds more
		}
	}
}

// miss estimates how many tokens of the prompt a target that holds that part of
// it has to read anew.
func (b *prefix[T]) miss(p *prompt, held part, a *account) float64 {
	hit := 0.0
	for _, h := range [...]part{{sure: held.sure}, {sure: held.likely, kind: held.kind}} {
		// The tokens are an estimate, so those that are just enough may
		// look like too few.
		if tokens := float64(h.sure) * p.perByte; tokens >= 0.9*float64(b.cfg.MinTokens) {
			hit = max(hit, tokens*a.held.share(h.kind, &b.all))
		}
	}
	return max(0, p.tokens-hit)
}

func (b *prefix[T]) Place(_ context.Context, req *extract.Request, candidates []T) (target T, t affinity.Ticket, err error) {
	if len(candidates) == 0 {
		return target, t, affinity.ErrNoCandidates
	}
	f := b.field(candidates)
	defer b.fields.put(f)
	p := b.prompt(req)
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	now := b.ledger.now()
	b.ledger.weigh(f, now)
	b.survey(&p, f, now)
	bound := b.bound(f)
	cost := b.expect(req, false)
	rest := b.ledger.placement(now)
	later := rest * stay / b.ledger.unit
	var best choice
	for i := range f.runners {
		r := &f.runners[i]
		if r.load > bound {
			continue
		}
		if len(p.cuts) == 0 {
			best.offer(i, r.load+r.coming+(cost+rest)/2/r.weight)
			continue
		}
		m := b.miss(&p, r.held, r.account)
		small := rest / 2 * (1/r.weight - 1/f.most) // see field.most; 0 where all are alike
		best.offer(i, (m+leastMiss+later)*(r.load+r.coming+small+(m+leastLoad)*b.ledger.unit/r.weight))
	}
	r := &f.runners[best.i]
	return candidates[r.at], b.send(r.account, &p, req, rest, false, now), nil
}

// send charges a target for a request, and enters that it was sent the prompt.
// Called with the index locked.
func (b *prefix[T]) send(a *account, p *prompt, req *extract.Request, rest float64, warm bool, now int64) affinity.Ticket {
	if len(p.cuts) == 0 {
		return b.charge(a, req, b.expect(req, warm), rest, warm, now)
	}
	var held part
	tick := b.index.tick(now)
	last := b.index.enter(p.cuts, a.target, tick, func(cut extract.Boundary, at int64) {
		if at != 0 {
			held.include(cut, now-at)
		}
	})
	cost := b.ledger.estimate(p.tokens, b.miss(p, held, a))
	b.ledger.charge(a, cost, rest, now)
	return affinity.Ticket{Time: tick, Cost: cost, Memo: [2]uint64{
		memo(p.bytes, warm, rest) | uint64(last)<<32,
		held.pack(),
	}}
}

func (b *prefix[T]) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	p := b.prompt(req)
	a := b.ledger.account(id)
	if len(p.cuts) == 0 {
		return b.charge(a, req, b.expect(req, warm), unplaced, warm, b.ledger.now())
	}
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	return b.send(a, &p, req, unplaced, warm, b.ledger.now())
}

func (b *prefix[T]) Settle(id string, t affinity.Ticket, o affinity.Outcome) {
	held, last := unpack(t.Memo[1]), int32(t.Memo[0]>>32)
	learned := b.ledger.settle(id, t, o)
	if o.Result != affinity.Neutral {
		b.ended(id, last, t.Time, o.Result == affinity.Served)
	}
	if learned && last != 0 {
		b.learn(id, held, bytesOf(t), o.Usage)
	}
}

// ended tells whether a target that was sent a prompt has served it, or has it not.
func (b *prefix[T]) ended(id string, last int32, tick int64, served bool) {
	if last != 0 {
		b.index.mu.Lock()
		defer b.index.mu.Unlock()
		b.index.end(last, hashOf(id), tick, served)
	}
}

// Cancel takes back what Place or Charge began: the request is not sent.
func (b *prefix[T]) Cancel(id string, t affinity.Ticket) {
	b.ended(id, int32(t.Memo[0]>>32), t.Time, false)
	b.costs.Cancel(id, t)
}

// learn compares what the target was believed to hold with what it had.
func (b *prefix[T]) learn(id string, held part, bytes int, u affinity.Usage) {
	if bytes <= 0 || u.Uncached+u.Cached <= 0 {
		return
	}
	perByte := float64(u.Uncached+u.Cached) / float64(bytes)
	likely, from := float64(held.likely)*perByte, 0.0
	if held.kind > 0 {
		from = float64(held.sure) * perByte
	}
	if likely-from < float64(max(b.cfg.MinTokens, 1)) {
		return
	}
	share := min(max((float64(u.Cached)-from)/(likely-from), 0), 1)
	b.all.observe(held.kind, share)
	if a := b.ledger.known(id); a != nil {
		a.held.observe(held.kind, share)
	}
}

// pack and unpack carry a part through a ticket.
func (h part) pack() uint64 {
	return uint64(h.kind)<<60 | uint64(min(h.likely, mostBytes))<<30 | uint64(min(h.sure, mostBytes))
}

func unpack(memo uint64) part {
	return part{sure: int(memo & mostBytes), likely: int(memo >> 30 & mostBytes), kind: min(int(memo>>60), pauseKinds-1)}
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
