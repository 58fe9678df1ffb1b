package affinity

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

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
//   - The result must be one of the candidates. A Selector refuses what is not among those
//     of its caller; it offers fewer where targets are drained, and a picker that does not
//     mind the list undoes that.
//   - Candidates belong to the caller: do not change or keep the slice.
//   - req may be nil, and so may every field of it.
//   - An error means that none of the candidates can be chosen. The Selector
//     hands it to its caller, wrapped, and binds nothing.
//   - Pick should be quick. The first requests of one session wait for a
//     single call of it; requests of other sessions do not. So it must not ask
//     the Selector that calls it for the same session: that waits for itself.
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

	// ReasonFailover: the session's home was not among the candidates, or was
	// drained. Another one serves: the fallback's choice, or where the session
	// was before if that is likely to have its prompt still. It is the home
	// now, or a detour, as Config.Failover says.
	ReasonFailover

	// ReasonDetour: the session's home is not among the candidates, or has
	// only just come back; the detour that served before serves again.
	ReasonDetour

	// ReasonReturned: the session's home is back, and the detour has ended.
	ReasonReturned

	// ReasonExpired: the session was away for longer than its home keeps
	// prompts. The fallback chose its home anew, perhaps the same.
	ReasonExpired

	// ReasonOverload: the session was recognised by its messages alone, and
	// its home has more than its share. The fallback chose another.
	ReasonOverload

	// ReasonPinned: the request refers to state that the target holds. It is
	// the home of the session now, unless the session is known by that state
	// alone.
	ReasonPinned

	// ReasonSideCall: a call beside a conversation that has no home among the
	// candidates. The fallback chose, and nothing was stored.
	ReasonSideCall
)

var reasons = [...]string{
	ReasonNoSession: "no-session",
	ReasonBound:     "bound",
	ReasonNew:       "new",
	ReasonInherited: "inherited",
	ReasonFailover:  "failover",
	ReasonDetour:    "detour",
	ReasonReturned:  "returned",
	ReasonExpired:   "expired",
	ReasonOverload:  "overload",
	ReasonPinned:    "pinned",
	ReasonSideCall:  "side-call",
}

// String returns the reason in lower case with hyphens, fit for a header, a
// log field or a metric label.
func (r Reason) String() string {
	if r == 0 || int(r) >= len(reasons) {
		return "<unknown affinity.Reason>"
	}
	return reasons[r]
}

// MarshalText implements [encoding.TextMarshaler] by String, also for keys of maps in JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// A Decision is all that there is to say about where a request went, and why.
// It holds no id that a client sent, nothing of a prompt and no credential, so
// it is fit to be logged: slog.Any("affinity", decision) makes a group of it.
type Decision struct {
	// ID is the ID of the chosen target.
	ID string

	// Reason says why it was chosen.
	Reason Reason

	// From is the ID of the target that the session left, or is away from: for
	// ReasonFailover, ReasonDetour, ReasonReturned, ReasonExpired and
	// ReasonOverload, and for ReasonPinned if it moved. Else it is "".
	From string

	// Source says which signal named the session and Confidence how far that
	// goes, as extract.Session does; Source is "" if there is none.
	Source     string
	Confidence extract.Confidence

	// Session stands for the session where people read it, all its turns and
	// threads alike; zero if there is none.
	Session Digest

	// Conversations is about how many different conversations were seen under
	// the id of the session, if its Confidence is Conventional; else 0. More
	// than a few say that the id does not name a conversation: the client
	// sends the same one in all of them, and all go to one target. Side calls
	// do not count, and have 0 here: they begin like no conversation.
	Conversations int

	// Idle is how long the conversation had been away from the target that it
	// was at; 0 if that is not known, or if it is new, or a thread or a branch of
	// another.
	Idle time.Duration

	// Outcome is what became of the request, if that was Reported.
	Outcome  Outcome
	Reported bool
}

// LogValue implements [slog.LogValuer]. Fields that say nothing are left out.
func (d Decision) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 12)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("target", d.ID)
	add("reason", d.Reason.String())
	add("from", d.From)
	add("source", d.Source)
	if d.Source != "" {
		add("confidence", d.Confidence.String())
	}
	add("session", d.Session.String())
	if d.Conversations > 0 {
		attrs = append(attrs, slog.Int("conversations", d.Conversations))
	}
	if d.Idle > 0 {
		attrs = append(attrs, slog.Duration("idle", d.Idle))
	}
	if d.Reported {
		add("result", d.Outcome.Result.String())
	}
	if u := d.Outcome.Usage; u != (Usage{}) {
		attrs = append(attrs,
			slog.Int("uncached", u.Uncached),
			slog.Int("cached", u.Cached),
			slog.Int("output", u.Output),
			slog.Float64("cost", u.Cost()))
	}
	return slog.GroupValue(attrs...)
}

// Stats counts what a [Selector] has done since it was made. All possible keys
// are in the maps.
type Stats struct {
	// Selected counts the selections by reason, and Failed those that ended
	// in an error. Together they are the calls of Select and Pick that have
	// returned.
	Selected map[Reason]uint64
	Failed   uint64

	// Outcomes counts what was reported of them, each at most once.
	Outcomes map[Result]uint64
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
	Uncached int // of the prompt, not read from the target's cache; those written to it included
	Cached   int // of the prompt, read from the target's cache
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

	// Place is Pick, and Settle or Cancel may follow. It charges the chosen target at
	// once with what the request is likely to cost, so that placements at the same
	// time see each other.
	Place(ctx context.Context, req *extract.Request, candidates []T) (T, Ticket, error)

	// Charge tells that req goes to the target of that ID without having been
	// placed. If warm, the target is expected to have all of the prompt but
	// its last turn in its cache. req may be nil.
	Charge(req *extract.Request, id string, warm bool) Ticket

	// Settle ends what Place or Charge began, at most once for each ticket.
	// It may never come: whoever sent the request need not tell what became of it.
	Settle(id string, ticket Ticket, o Outcome)

	// Cancel takes back what Place or Charge began, in place of Settle: the
	// request does not go there after all.
	Cancel(id string, ticket Ticket)

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
	Memo [2]uint64
}

// A Result is the kind of an [Outcome].
type Result uint8

const (
	// Neutral says nothing about the target: the client went away, or its
	// request was at fault. Bindings stay as they are.
	Neutral Result = iota

	// Served: the target answered. The binding's expiry slides once more, from
	// the end of the answer on; so does that of the turn before, where turns have
	// bindings of their own, since its prompt is part of this one.
	Served

	// TransientFailure: the target failed or refused for now (429, 5xx, a
	// broken connection). The binding stays. It ends when it would have without this
	// request, unless another one has used it or that time has passed. Leave the
	// target out of the candidates, and the session fails over.
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

// MarshalText implements [encoding.TextMarshaler] by String, also for keys of maps in JSON.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

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
