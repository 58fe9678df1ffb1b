package extract

import (
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// referenceHeaders finds what Headers promises to find, the plain way: it asks for one
// name after the other, and for each looks at all headers.
func referenceHeaders(h http.Header) (source, id string) {
	ask := func(source string, is func(key string) bool) bool {
		var values []string
		for key, v := range h {
			if is(key) {
				values = append(values, v...)
			}
		}
		slices.Sort(values)
		if values = slices.Compact(values); len(values) == 1 {
			id, _ = ID(values[0])
		}
		return id != ""
	}
	for _, n := range knownHeaders.names {
		if ask(n.source, func(key string) bool { return key == n.canonical }) {
			return n.source, id
		}
	}
	for _, n := range knownHeaders.names {
		if ask(n.source, func(key string) bool { return key != n.canonical && strings.EqualFold(key, n.canonical) }) {
			return n.source, id
		}
	}
	var names []string
	for key := range h {
		listed := slices.ContainsFunc(knownHeaders.names, func(n headerName) bool { return strings.EqualFold(n.canonical, key) })
		if !listed && len(key) <= 64 {
			names = append(names, strings.ToLower(key))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, front := range []string{"x-", ""} {
		for _, form := range []string{"session-id", "conversation-id", "chat-id", "thread-id"} {
			vendors := regexp.MustCompile("^" + front + "-*[a-z0-9][a-z0-9-]*-" + form + "$")
			for _, n := range names {
				words := strings.Split(n, "-")
				before := words[:max(0, len(words)-2)]
				if !vendors.MatchString(n) || front == "" && strings.HasPrefix(n, "x-") ||
					slices.ContainsFunc(before, func(w string) bool { return otherSessions[w] }) ||
					form == "session-id" && notSessions[before[len(before)-1]] {
					continue
				}
				if ask(n, func(key string) bool { return strings.EqualFold(key, n) }) {
					return n, id
				}
			}
		}
	}
	return "", ""
}

// Headers is quick, and finds what the plain way finds. (That its list is that of the
// documentation is for TestTableOfSignalsIsTrue to say.)
func TestHeadersLikeTheReference(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	pool := []string{"X-Acme-Session-Id", "X-B-Session-Id", "X-Parent-Session-Id", "X-User-Session-Id", "X-User-Chat-Id", "X-Acme-Thread-Id", "X-A-Chat-Id",
		"X-Acme-Conversation-Id", "X-A-Forked-B-Thread-Id", "X--Session-Id", "Acme-Session-Id", "Oai-Session-Id", "-Chat-Id", "X-Session-Id-Session-Id", "Accept", "Content-Length", "Mcp-Session-Id", "X-É-Session-Id", "X-Request-Id"}
	for _, n := range knownHeaders.names {
		pool = append(pool, n.canonical)
	}
	values := []string{"a", "b", "c", "null", "", " a ", "x\ny"}
	found := 0
	for range 20_000 {
		h := http.Header{}
		for range 1 + random.IntN(7) {
			name := pool[random.IntN(len(pool))]
			switch random.IntN(5) {
			case 0:
				name = strings.ToLower(name)
			case 1:
				name = strings.ToUpper(name)
			case 2:
				name = textproto.CanonicalMIMEHeaderKey(name)
			}
			for range random.IntN(3) {
				h[name] = append(h[name], values[random.IntN(len(values))])
			}
		}
		source, id := referenceHeaders(h)
		s, ok := Headers().Extract(&Request{Header: h})
		require.Equal(t, id != "", ok, "%q", h)
		require.Equal(t, source, s.Source, "%q", h)
		require.Equal(t, id, s.ID, "%q", h)
		if ok {
			found++
		}
	}
	require.Greater(t, found, 10_000)
}

// Where a header names the session, nobody begins to read the body.
func TestHeadersLeaveTheBody(t *testing.T) {
	t.Parallel()
	body := []byte(`{"session_id":"a","messages":[{"role":"user","content":"hi"}],"metadata":{"user_id":"u"}}`)
	for name, r := range map[string]*Request{
		"Claude Code":    {Header: http.Header{"X-Claude-Code-Session-Id": {"s"}, "X-Claude-Code-Agent-Id": {"a"}}, Path: "/v1/messages"},
		"a listed one":   {Header: http.Header{"X-Session-Id": {"s"}, "X-Parent-Session-Id": {"p"}}, Path: "/v1/chat/completions"},
		"Codex":          {Header: http.Header{"Session-Id": {"s"}, "Thread-Id": {"t"}}, Path: "/v1/responses"},
		"Mistral Vibe":   {Header: http.Header{"X-Affinity": {"s"}}},
		"a vendor's":     {Header: http.Header{"X-Acme-Session-Id": {"s"}}},
		"in lower case":  {Header: http.Header{"x-session-id": {"s"}}},
		"Codex's thread": {Header: http.Header{"X-Client-Request-Id": {"s"}, "Originator": {"codex"}}},
	} {
		r.Body = body
		var s Session
		require.True(t, Default().Find(r, &s), name)
		require.Equal(t, "s", s.ID, name)
		require.EqualValues(t, unfinished, r.index.progress.Load(), name)
		require.Zero(t, r.index.pos, name)
		require.Nil(t, r.trailed.Load(), name)
	}
}
