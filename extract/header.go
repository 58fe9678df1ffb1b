package extract

import (
	"cmp"
	"net/textproto"
	"slices"
	"strings"
)

// Header returns an Extractor of the session ids in the HTTP headers of the
// given names, asked in that order. The Source of a session is the name of the
// header in lower case, with hyphens for underscores, its Confidence Explicit.
//
// Names, which are ASCII, are matched without regard to case, also in a map that was
// not filled in by net/http; one in canonical form goes before all others. A header
// that comes with several different values names nothing, and neither does one whose
// value is not an [ID].
func Header(names ...string) Extractor {
	return newHeaders(names, false)
}

// Headers returns an Extractor of the session headers of known clients and
// gateways: X-Claude-Code-Session-Id and those of the table in the package
// documentation, in its order, and after them any other header of the form
// X-...-Session-Id that is not known to be something else, and of the same form with
// Conversation, Chat or Thread, of which none counts where there are more than 32.
func Headers() Extractor { return knownHeaders }

// isHeaders reports whether e is Headers.
func isHeaders(e Extractor) bool {
	hs, _ := e.(*headers)
	return hs == knownHeaders
}

var knownHeaders = newHeaders([]string{
	claudeHeader, // the first, as find relies on; for those in another spelling: see claude.go
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
	"X-Mux-Workspace-Id",
	"Chatui-Conversation-Id",
	"Chatbox-Session-Id",
	"X-Http-Session-Id",
	"X-Openclaw-Session-Key",
	"Agent-Session-Id",
	"X-Bf-Session-Id",
	"X-Merge-Thread-Id",
	"X-Smg-Routing-Key",
	"X-Model-Affinity",
	"X-Dynamo-Session-Id",
	"Helicone-Session-Id",
	"Langfuse_session_id",

	"X-Session-Affinity",
	"Session-Id",
	"Session_id",
	"X-Conversation-Id",
	"Conversation-Id",
	"Conversation_id",
	"X-Chat-Id",
	"X-Thread-Id",
	"X-Affinity",
	"Thread-Id",
}, true)

// notSessions are what stands in front of -Session-Id in headers that name something else: a
// machine, a login, what a browser counts. (A user's conversation is one.) otherSessions are
// words, wherever they stand, of headers that name another session than the one at hand.
var (
	notSessions = map[string]bool{
		"remote":    true, // X-Claude-Remote-Session-Id
		"mcp":       true,
		"vscode":    true,
		"window":    true,
		"machine":   true,
		"device":    true,
		"browser":   true,
		"analytics": true,
		"posthog":   true,
		"telemetry": true,
		"user":      true,
		"auth":      true,
		"login":     true,
		"sso":       true,
		"request":   true,
	}
	otherSessions = map[string]bool{"parent": true, "previous": true, "forked": true}
)

// headers is the Extractor behind Header and Headers.
type headers struct {
	names  []headerName
	vendor bool // take any of the vendorSuffixes

	may      nameFilter           // one of the names, in whatever case
	byLength [maxLength + 1][]int // places in names
}

type headerName struct{ canonical, source string }

// maxLookups is how many names are looked up one by one before all headers are walked
// through: to look up a name costs as much as a step of the walk or two.
const maxLookups = 2

func newHeaders(names []string, vendor bool) *headers {
	hs := &headers{vendor: vendor, may: newNameFilter(names...)}
	for i, n := range names {
		name := headerName{
			canonical: textproto.CanonicalMIMEHeaderKey(n),
			source:    strings.ReplaceAll(strings.ToLower(n), "_", "-"),
		}
		if name.canonical == claudeHeader {
			name.source = claudeSource
		}
		hs.names = append(hs.names, name)
		length := min(len(n), maxLength)
		hs.byLength[length] = append(hs.byLength[length], i)
	}
	if vendor {
		for length := range hs.may {
			hs.may[length] |= 1 << lastLetter(vendorSuffixes[0]) // which is that of all
		}
	}
	return hs
}

// A nameFilter tells quickly that a header is none of some: it knows them, in any case, by
// their lengths and their last letters, of which it has a bit each. Those that are longer
// than maxLength count as that long.
type nameFilter [maxLength + 1]uint32

const maxLength = 63

func newNameFilter(names ...string) (f nameFilter) {
	for _, n := range names {
		if n != "" {
			f[min(len(n), maxLength)] |= 1 << lastLetter(n)
		}
	}
	return f
}

// has reports whether the name, which is not empty, may be one of them.
func (f *nameFilter) has(name string) bool {
	return f[min(len(name), maxLength)]>>lastLetter(name)&1 != 0
}

func lastLetter(name string) byte { return name[len(name)-1] & 31 }

// Extract implements Extractor.
func (hs *headers) Extract(r *Request) (s Session, ok bool) {
	ok = hs.find(r, &s)
	r.Complete(&s)
	return s, ok
}

// find is Extract for Chain.Find: s is the zero Session, and stays it if there is none.
func (hs *headers) find(r *Request, s *Session) bool {
	if len(r.Header) == 0 {
		return false
	}
	// Those that rank leaves out.
	for i := range min(maxLookups, len(hs.names)) {
		n := &hs.names[i]
		if id := single(r.Header[n.canonical]); id != "" {
			r.nameByHeader(s, n.source, id, Explicit)
			return true
		}
	}
	if hs == knownHeaders && r.headless.Load() {
		return false
	}
	source, id := hs.walk(r)
	if id == "" && hs == knownHeaders {
		if source, id = "thread-id", r.codexThread(); id == "" {
			r.headless.Store(true)
		}
	}
	if id == "" {
		return false
	}
	r.nameByHeader(s, source, id, Explicit)
	return true
}

// codexThread returns the thread of Codex in X-Client-Request-Id, for when a
// proxy has dropped the headers that it sends beside. In requests of others,
// such as the SDKs of OpenAI and Anthropic, that header names the request.
func (r *Request) codexThread() string {
	r.spelling()
	id := r.header("X-Client-Request-Id")
	if id == "" || !strings.HasPrefix(r.header("Originator"), "codex") && !strings.HasPrefix(r.header("User-Agent"), "codex") {
		return ""
	}
	return id
}

// A namedHeader is a header that may name the session. Of several, the one of the
// least rank goes first, and then by the alphabet.
type namedHeader struct {
	rank   int
	source string
	values []string
}

// walk looks at all headers but those that were looked up. A map has no order, so
// what it finds is sorted: first the listed names in canonical form, in their order,
// then those in other spellings, then the others.
func (hs *headers) walk(r *Request) (source, id string) {
	var room [4]namedHeader
	found, classy, vendors := room[:0], false, 0
	for key, values := range r.Header {
		if key == "" {
			continue
		}
		classy = classy || classHeaders.has(key)
		if hs.may.has(key) { // few are left
			rank, source := hs.rank(key)
			if rank >= hs.unlisted() {
				if vendors++; vendors > maxVendors {
					continue
				}
			}
			if source != "" {
				found = append(found, namedHeader{rank, source, values})
			}
		}
	}
	if !classy {
		r.classless.Store(true)
	}
	if vendors > maxVendors { // which of them are here is up to the map
		found = slices.DeleteFunc(found, func(h namedHeader) bool { return h.rank >= hs.unlisted() })
	}
	if len(found) == 0 {
		return "", ""
	}
	slices.SortFunc(found, func(a, b namedHeader) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.source, b.source))
	})
	for i := 0; i < len(found); {
		// One name in several spellings is one header.
		first := found[i]
		values := slices.Clip(first.values) // which are the caller's: to append makes a copy
		for i++; i < len(found) && found[i].rank == first.rank && found[i].source == first.source; i++ {
			values = append(values, found[i].values...)
		}
		if id := single(values); id != "" {
			if first.rank >= len(hs.names) { // others may be in another spelling, too
				r.spelling()
			}
			return first.source, id
		}
	}
	return "", ""
}

// rank returns the rank of a header and its source, which is empty if it is none of
// a session or was looked up.
func (hs *headers) rank(key string) (int, string) {
	alike := hs.byLength[min(len(key), maxLength)]
	for _, i := range alike {
		if hs.names[i].canonical == key {
			if i < maxLookups {
				return 0, ""
			}
			return i, hs.names[i].source
		}
	}
	for _, i := range alike {
		if n := hs.names[i]; len(n.canonical) == len(key) && strings.EqualFold(n.canonical, key) {
			return len(hs.names) + i, n.source
		}
	}
	if hs.vendor {
		if i := vendorSession(key); i >= 0 {
			return hs.unlisted() + i, strings.ToLower(key)
		}
	}
	return 0, ""
}

// unlisted is the least rank of a header whose name is on no list.
func (hs *headers) unlisted() int { return 2 * len(hs.names) }

// maxVendors is how many of those a request may have: with more, none of them counts. No
// client sends so many, and to put a megabyte of them in order takes long.
const maxVendors = 32

// vendorSuffixes are the ends of the headers of the form X-...-Session-Id and its like:
// the wider a word mostly is, the sooner its header counts.
var vendorSuffixes = [...]string{"-session-id", "-conversation-id", "-chat-id", "-thread-id"}

// vendorSession returns which of the vendorSuffixes a header has, or -1. In front of it
// stand X- and letters, digits and hyphens, which do not say that it is something else; the
// length is fit for a log.
func vendorSession(key string) int {
	const prefix, longest = "x-", 64
	if len(key) > longest || len(key) < len(prefix) || !strings.EqualFold(key[:len(prefix)], prefix) {
		return -1
	}
	for i, suffix := range vendorSuffixes {
		end := len(key) - len(suffix)
		if end <= len(prefix) || !strings.EqualFold(key[end:], suffix) {
			continue
		}
		vendor := strings.ToLower(key[len(prefix):end])
		if strings.Trim(vendor, alphanumeric+"-") != "" {
			return -1
		}
		last := ""
		for last = range strings.SplitSeq(vendor, "-") {
			if otherSessions[last] {
				return -1
			}
		}
		if suffix == "-session-id" && notSessions[last] {
			return -1
		}
		return i
	}
	return -1
}

// header returns the id in a header, or "". The name is in canonical form.
func (r *Request) header(name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return agreed(values)
	}
	if !r.odd.Load() {
		return "" // most headers that are looked for are not there
	}
	return single(r.values(name))
}

// spelling finds out whether the names of headers are in canonical form, unless that
// is known. Content-Type, which most requests have, stands for all; and so does the
// header of the session, where spelling is not called.
func (r *Request) spelling() {
	if r.spelled.Load() {
		return
	}
	if len(r.Header["Content-Type"]) == 0 {
		for key := range r.Header {
			if !canonical(key) {
				r.odd.Store(true)
				break
			}
		}
	}
	r.spelled.Store(true)
}

// values returns the values of a header. The name is in canonical form; the names in
// the map need not be, once spelling has looked at them.
func (r *Request) values(name string) []string {
	if values := r.Header[name]; len(values) > 0 || !r.odd.Load() {
		return values
	}
	var values []string // of their own: what is in the map is the caller's
	for key, v := range r.Header {
		if len(key) == len(name) && strings.EqualFold(key, name) {
			values = append(values, v...)
		}
	}
	return values
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
	if len(values) == 0 {
		return ""
	}
	return agreed(values)
}

// agreed is single where there are values.
func agreed(values []string) string {
	if !alike(values) {
		return ""
	}
	id, _ := ID(values[0])
	return id
}

// alike reports whether all values are the same.
func alike(values []string) bool {
	for i := 1; i < len(values); i++ { // most have one
		if values[i] != values[0] {
			return false
		}
	}
	return true
}

// Metadata returns an Extractor of the session id under the given key of
// Request.Metadata, to the letter. Its Source is "metadata:" and the key, its Confidence
// Explicit. What is no [ID], such as "0", names no session.
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
