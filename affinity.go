package affinity

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-affinity/affinity/extract"
)

// A Picker chooses one target among candidates.
//
// It is what a [Selector] falls back on for requests that have no binding, and
// what a Selector is itself, so selectors nest. Package balance has ready-made
// ones; anything with this method will do.
//
// Rules for implementers:
//   - Pick is called by many goroutines at once.
//   - The result must be one of the candidates; a Selector refuses any other.
//   - Candidates belong to the caller: do not change or keep the slice.
//   - req may be nil, and so may every field of it.
//   - An error means that none of the candidates can be chosen. The Selector
//     hands it to its caller, wrapped, and binds nothing.
//   - Pick should be quick. The first requests of one session wait for a
//     single call of it; requests of other sessions do not.
type Picker[T any] interface {
	Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error)
}

// PickerFunc is an adapter to allow the use of ordinary functions as pickers.
type PickerFunc[T any] func(ctx context.Context, req *extract.Request, candidates []T) (T, error)

// Pick calls f(ctx, req, candidates).
func (f PickerFunc[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	return f(ctx, req, candidates)
}

// Errors of [Selector.Select] and [Selector.Pick]. An error of the fallback is
// wrapped, so that [errors.Is] finds it. None of them leaves a binding behind.
var (
	// ErrNoCandidates reports that the list of candidates was empty.
	ErrNoCandidates = errors.New("affinity: no candidates to select from")

	// ErrNotCandidate reports that the fallback answered with a target that
	// is not among the candidates.
	ErrNotCandidate = errors.New("affinity: the fallback picked a target that is not among the candidates")

	// ErrNoID reports that Config.ID gave the empty string for the target
	// that was to be bound.
	ErrNoID = errors.New("affinity: the target to bind has an empty ID")
)

// A Reason says why a request got its target. The list is closed: every
// successful selection has exactly one of them.
type Reason uint8

const (
	// ReasonNoSession: no extractor named a session. The fallback chose, and
	// nothing was stored.
	ReasonNoSession Reason = iota + 1

	// ReasonBound: the session's home was among the candidates.
	ReasonBound

	// ReasonNew: the session had no binding; the fallback chose its home.
	ReasonNew

	// ReasonInherited: the session had no binding of its own and took over
	// that of its predecessor or neighbour.
	ReasonInherited

	// ReasonFailover: the session's home was not among the candidates; the
	// fallback chose another one, which is its home now.
	ReasonFailover

	// ReasonPinned: the request refers to state that the target holds; it is
	// the session's home now.
	ReasonPinned

	// ReasonSideCall: a call beside a conversation that has no home among the
	// candidates. The fallback chose, and nothing was stored.
	ReasonSideCall
)

// String returns the reason in lower case with hyphens, fit for a header, a
// log field or a metric label.
func (r Reason) String() string {
	switch r {
	case ReasonNoSession:
		return "no-session"
	case ReasonBound:
		return "bound"
	case ReasonNew:
		return "new"
	case ReasonInherited:
		return "inherited"
	case ReasonFailover:
		return "failover"
	case ReasonPinned:
		return "pinned"
	case ReasonSideCall:
		return "side-call"
	}
	return "<unknown affinity.Reason>"
}

// An Outcome is what became of a request, as the caller of [Selector.Select]
// reports it to [Selection.Done]. The zero Outcome is neutral.
type Outcome struct {
	Result Result

	// Usage is what the request cost, where that is known.
	Usage Usage
}

// Usage is what a request cost its target, in tokens, as the target's response
// tells. The zero Usage says that it is not known.
type Usage struct {
	Uncached int // of the prompt, read anew (those written to a cache among them)
	Cached   int // of the prompt, taken from the target's cache
	Output   int // of the answer
}

// Cost weighs the tokens as the providers' prices do: a cached one is a tenth,
// one of the answer five times one that is read anew.
func (u Usage) Cost() float64 {
	return float64(u.Uncached) + 0.1*float64(u.Cached) + 5*float64(u.Output)
}

// A Balancer is a [Picker] that places by load, and so wants to know of every
// request: also of those that a [Selector] sends to their session's home
// without asking. A Selector whose fallback is one keeps it informed by itself.
//
// The rules for pickers hold. All methods are called by many goroutines at once.
type Balancer[T any] interface {
	Picker[T]

	// Place is Pick for a request whose end will be told. It charges the
	// chosen target at once with what the request is likely to cost, so that
	// placements at the same time see each other.
	Place(ctx context.Context, req *extract.Request, candidates []T) (T, Ticket, error)

	// Charge tells that req goes to the target of that ID without having been
	// placed. If warm, the target is expected to have all of the prompt but
	// its last turn in its cache. req may be nil.
	Charge(req *extract.Request, id string, warm bool) Ticket

	// Settle ends what Place or Charge began, at most once for each ticket.
	// It may never come: nobody may have asked what became of the request.
	Settle(id string, ticket Ticket, o Outcome)

	// Overloaded reports whether the target has so much more than its share
	// that it should take no new sessions while others can.
	Overloaded(id string) bool
}

// A Ticket is what a [Balancer] notes of a request under way, to be handed
// back when it ends. The fields mean what the Balancer wants them to mean; a
// Selector only carries them.
type Ticket struct {
	Time int64
	Cost float64
	Memo uint64
}

// A Result is the kind of an [Outcome].
type Result uint8

const (
	// Neutral says nothing about the target: the client went away, or its
	// request was at fault. Bindings stay as they are.
	Neutral Result = iota

	// Served: the target answered. The binding's expiry slides once more, so
	// that a stream that ran longer than the TTL does not end unbound.
	Served

	// TransientFailure: the target failed or refused for now (429, 5xx, a
	// broken connection). The binding stays; leave the target out of the
	// candidates and the session fails over.
	TransientFailure

	// TerminalFailure: the target is of no use to this session any more (a
	// revoked credential, an empty account). The binding is dropped, and so
	// are those of the same session to that target that it would inherit.
	TerminalFailure
)

// String returns the result in lower case with hyphens.
func (r Result) String() string {
	switch r {
	case Neutral:
		return "neutral"
	case Served:
		return "served"
	case TransientFailure:
		return "transient-failure"
	case TerminalFailure:
		return "terminal-failure"
	}
	return "<unknown affinity.Result>"
}

// OutcomeOf classifies the answer of an HTTP upstream: its status code, or the
// error that came in its place. The first row that fits counts.
//
//	error: context.Canceled                 Neutral (the client left)
//	error: any other                        TransientFailure
//	401, 402, 403                           TerminalFailure (the credential)
//	408, 425, 429                           TransientFailure
//	5xx (with 529, Anthropic's overloaded)  TransientFailure
//	1xx, 2xx, 3xx                           Served
//	any other                               Neutral (the request's own fault)
func OutcomeOf(status int, err error) Outcome {
	switch {
	case errors.Is(err, context.Canceled):
		return Outcome{Result: Neutral}
	case err != nil:
		return Outcome{Result: TransientFailure}
	}
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return Outcome{Result: TerminalFailure}
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return Outcome{Result: TransientFailure}
	}
	switch status / 100 {
	case 5:
		return Outcome{Result: TransientFailure}
	case 1, 2, 3:
		return Outcome{Result: Served}
	}
	return Outcome{Result: Neutral}
}
