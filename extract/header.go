package extract

import (
	"cmp"
	"math"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Header returns an Extractor of the session ids in the HTTP headers of the
// given names, asked in that order. The Source of a session is the name of the
// header in lower case, with hyphens for underscores.
//
// Names are matched without regard to case, also in a map that was not filled
// in by net/http; a name in canonical form goes before all others. A header that
// comes with several different values names nothing, and neither does one whose
// value is not an [ID].
func Header(names ...string) Extractor {
	return newHeaders(names, false)
}

// Headers returns an Extractor of the session headers of known clients and
// gateways: X-Claude-Code-Session-Id and those of the table in the package
// documentation, in its order, and after them any other header of the form
// X-...-Session-Id that is not known to be something else.
func Headers() Extractor { return knownHeaders }

var knownHeaders = newHeaders([]string{
	"X-Claude-Code-Session-Id", // for those in another spelling: see claude.go
	"X-Session-Id",

	"X-Opencode-Session",
	"X-Grok-Conv-Id",
	"X-Grok-Session-Id",
	"X-Amp-Thread-Id",
	"X-Litellm-Session-Id",
	"X-Openwebui-Chat-Id",
	"X-Roo-Task-Id",
	"X-Task-Id",
	"X-Kilocode-Taskid",
	"X-Client-Session-Id",
	"X-Zcode-Session-Id",
	"X-Acp-Session",
	"X-Coder-Chat-Id",
	"X-Http-Session-Id",
	"X-Openclaw-Session-Key",
	"Agent-Session-Id",
	"X-Bf-Session-Id",
	"X-Merge-Thread-Id",
	"X-Smg-Routing-Key",
	"X-Dynamo-Session-Id",
	"Helicone-Session-Id",
	"Langfuse_session_id",

	"X-Session-Affinity",
	"Session-Id",
	"Session_id",
	"X-Conversation-Id",
	"Conversation-Id",
	"Conversation_id",
	"X-Affinity",
	"Thread-Id",
}, true)

// notSessions are headers of the form X-...-Session-Id that name something
// else: another session, or a machine.
var notSessions = map[string]bool{
	"x-parent-session-id":        true,
	"x-dynamo-parent-session-id": true,
	"x-claude-remote-session-id": true,
	"x-mcp-session-id":           true,
	"x-vscode-session-id":        true,
}

// headers is the Extractor behind Header and Headers.
type headers struct {
	names    []headerName
	byLength [maxHeader + 1][]uint8 // places in names, by the length of the name
	long     []int                  // places of those that byLength has no room for
	vendor   bool                   // take any X-...-Session-Id
}

type headerName struct{ canonical, source string }

// maxHeader is the length of the longest name that one pass over the headers
// finds, and maxLookups how many names are looked up one by one before that: a
// look-up costs as much as a step of the pass.
const (
	maxHeader  = 31
	maxLookups = 2
)

func newHeaders(names []string, vendor bool) *headers {
	hs := &headers{vendor: vendor}
	for _, n := range names {
		name := headerName{
			canonical: textproto.CanonicalMIMEHeaderKey(n),
			source:    strings.ReplaceAll(strings.ToLower(n), "_", "-"),
		}
		if name.canonical == claudeHeader {
			name.source = claudeSource
		}
		switch i := len(hs.names); {
		case i < maxLookups:
		case len(n) <= maxHeader && i <= math.MaxUint8:
			hs.byLength[len(n)] = append(hs.byLength[len(n)], uint8(i))
		default:
			hs.long = append(hs.long, i)
		}
		hs.names = append(hs.names, name)
	}
	return hs
}

// Extract implements Extractor.
func (hs *headers) Extract(r *Request) (s Session, ok bool) {
	ok = hs.find(r, &s, false)
	return s, ok
}

// find is Extract for Chain, where Claude Code's header may have been looked up
// before: s is the zero Session, and stays it if there is none.
func (hs *headers) find(r *Request, s *Session, claudeAsked bool) bool {
	if len(r.Header) == 0 {
		return false
	}
	first := 0
	if claudeAsked && hs == knownHeaders {
		first = 1
	}
	if place, id := hs.lookup(r.Header, first); id != "" {
		r.nameByHeader(s, hs.names[place].source, id, Explicit)
		return true
	}
	if source, id := hs.scan(r); id != "" {
		r.nameByHeader(s, source, id, Explicit)
		return true
	}
	if hs.vendor {
		if id := r.codexThread(); id != "" {
			r.nameByHeader(s, "thread-id", id, Explicit)
			return true
		}
	}
	return false
}

// lookup returns the place and the id of the first listed header that has one,
// from the given one on, of those with names in canonical form. The id is "" if
// there is none.
func (hs *headers) lookup(h http.Header, first int) (place int, id string) {
	names := hs.names
	for i := first; i < min(maxLookups, len(names)); i++ {
		if id := single(h[names[i].canonical]); id != "" {
			return i, id
		}
	}
	if len(names) <= maxLookups {
		return 0, ""
	}
	place = len(names)
	for _, i := range hs.long {
		if one := single(h[names[i].canonical]); one != "" {
			place, id = i, one
			break
		}
	}
	for key, values := range h {
		if len(key) > maxHeader {
			continue
		}
		for _, i := range hs.byLength[len(key)] {
			if int(i) < place && names[i].canonical == key {
				if one := single(values); one != "" {
					place, id = int(i), one
				}
				break
			}
		}
	}
	return place, id
}

// codexThread returns the thread of Codex in X-Client-Request-Id, for when a
// proxy has dropped the headers that it sends beside. In requests of others,
// such as the SDKs of OpenAI and Anthropic, that header names the request.
func (r *Request) codexThread() string {
	if !strings.HasPrefix(r.header("Originator"), "codex") && !strings.HasPrefix(r.header("User-Agent"), "codex") {
		return ""
	}
	return r.header("X-Client-Request-Id")
}

// scan looks at every header, for names in a form that a look-up cannot find.
// A map has no order, so they are sorted: first the listed names in their
// order, then the others by the alphabet.
func (hs *headers) scan(r *Request) (source, id string) {
	type header struct {
		rank   int
		source string
		values []string
	}
	var room [4]header
	found, odd := room[:0], false
	for key, values := range r.Header {
		canonical := canonical(key)
		odd = odd || !canonical
		if rank, source := hs.rank(key, canonical); source != "" {
			found = append(found, header{rank, source, values})
		}
	}
	r.spells(odd)
	slices.SortFunc(found, func(a, b header) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.source, b.source))
	})
	for i := 0; i < len(found); {
		// One name in several spellings is one header.
		first := found[i]
		values := first.values
		for i++; i < len(found) && found[i].rank == first.rank && found[i].source == first.source; i++ {
			values = slices.Concat(values, found[i].values)
		}
		if id := single(values); id != "" {
			return first.source, id
		}
	}
	return "", ""
}

// rank returns the place of a header in the list and its source. Those that
// the look-up has dealt with have none.
func (hs *headers) rank(key string, canonical bool) (int, string) {
	if !canonical {
		for i, n := range hs.names {
			if len(key) == len(n.canonical) && strings.EqualFold(key, n.canonical) {
				return i, n.source
			}
		}
	}
	if hs.vendor && vendorSession(key) {
		if source := strings.ToLower(key); !notSessions[source] {
			return len(hs.names), source
		}
	}
	return 0, ""
}

// vendorSession reports whether a header has the form X-...-Session-Id, with
// letters, digits and hyphens, and a length that is fit for a log.
func vendorSession(key string) bool {
	const prefix, suffix, longest = "x-", "-session-id", 64
	if len(key) <= len(prefix)+len(suffix) || len(key) > longest ||
		!strings.EqualFold(key[:len(prefix)], prefix) ||
		!strings.EqualFold(key[len(key)-len(suffix):], suffix) {
		return false
	}
	vendor := key[len(prefix) : len(key)-len(suffix)]
	return strings.Trim(vendor, alphanumeric+"-") == "" && !strings.Contains(strings.ToLower(key), "parent-session")
}

// canonical reports whether key is as net/http would have it.
func canonical(key string) bool {
	upper := true
	for i := range len(key) {
		c := key[i]
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			return false
		}
		upper = c == '-'
	}
	return true
}

// single returns the one id that all values agree on, or "".
func single(values []string) string {
	if len(values) == 0 { // most headers that are looked for are not there
		return ""
	}
	return agreed(values)
}

// agreed is single where there are values.
func agreed(values []string) string {
	first := values[0]
	for _, v := range values[1:] {
		if v != first {
			return ""
		}
	}
	id, _ := ID(first)
	return id
}

// Metadata returns an Extractor of the session id under the given key of
// Request.Metadata. Its Source is "metadata:" and the key.
func Metadata(key string) Extractor {
	source := "metadata:" + key
	return ExtractorFunc(func(r *Request) (Session, bool) {
		id, ok := ID(r.Metadata[key])
		if !ok {
			return Session{}, false
		}
		return r.named(source, id, Explicit), true
	})
}
