package extract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

// nameless is a request of the corpus without any id that its client sent.
type nameless struct {
	corpus.Request
	body     []byte
	answered bool // by a model, in the messages: there was a request before
	title    bool
	trail    extract.Session
}

func (n nameless) String() string { return fmt.Sprint(n.Session, "/", n.Seq) }

// withoutIDs returns the requests of the corpus without explicit ids.
func withoutIDs(t testing.TB) []nameless {
	t.Helper()
	var all []nameless
	for _, r := range corpus.Clients() {
		members := map[string]json.RawMessage{}
		require.NoError(t, json.Unmarshal(r.Body, &members))
		for _, name := range []string{"metadata", "prompt_cache_key", "client_metadata", "user", "session_id", "conversation_id"} {
			delete(members, name)
		}
		body, err := json.Marshal(members)
		require.NoError(t, err)
		n := nameless{Request: r, body: body}
		for _, role := range []string{`"role":"assistant"`, `"role":"model"`} {
			n.answered = n.answered || bytes.Contains(body, []byte(role))
		}
		n.title = r.Client == "opencode" && members["tools"] == nil
		s, ok := extract.Default().Extract(&extract.Request{Body: body})
		require.True(t, ok)
		require.Equal(t, "trail", s.Source, "%v still has an id", n)
		n.trail = s
		all = append(all, n)
	}
	return all
}

// memory is what a Selector remembers, of sessions instead of targets.
type memory map[string]nameless

// serve returns the request that r leads back to, and how.
func (m memory) serve(r nameless) (nameless, string) {
	if found, ok := m[r.trail.ID]; ok {
		return found, same
	}
	found, how := nameless{}, apart
	for _, ids := range []struct {
		how string
		ids []string
	}{{near, r.trail.Near}, {continues, r.trail.Continues}} {
		for i := len(ids.ids) - 1; i >= 0; i-- {
			if f, ok := m[ids.ids[i]]; ok {
				found, how = f, ids.how
			}
		}
	}
	for _, id := range append([]string{r.trail.ID}, r.trail.Aliases...) {
		m[id] = r
	}
	return found, how
}

// When all ids are taken away from what real clients send, every turn leads back to its own
// conversation and to no other, in whatever order the conversations run.
func TestCorpusWithoutIDs(t *testing.T) {
	t.Parallel()
	all := withoutIDs(t)
	require.Greater(t, len(all), 50)
	check := func(t *testing.T, requests []nameless) {
		m := memory{}
		for _, r := range requests {
			found, how := m.serve(r)
			switch {
			case r.title:
				// The title calls of two sessions with the same first question
				// are equal byte for byte: see the next test.
			case r.answered:
				require.Equal(t, r.Session, found.Session, "%v: %s %v", r, how, found)
				require.NotEqual(t, near, how, "%v and %v are one conversation", r, found)
			default:
				require.Equal(t, apart, how, "%v is the first of its conversation, not %v", r, found)
			}
		}
	}
	t.Run("one after another", func(t *testing.T) {
		t.Parallel()
		check(t, all)
	})
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		check(t, interleave(all, nil))
	})
	t.Run("in any order", func(t *testing.T) {
		t.Parallel()
		for seed := range uint64(100) {
			check(t, interleave(all, rand.New(rand.NewPCG(seed, 0))))
		}
	})
}

// interleave returns the requests with those of one session in their order:
// the sessions by turns, or at random.
func interleave(all []nameless, random *rand.Rand) []nameless {
	var sessions [][]nameless
	for _, r := range all {
		if n := len(sessions); n == 0 || sessions[n-1][0].Session != r.Session {
			sessions = append(sessions, nil)
		}
		sessions[len(sessions)-1] = append(sessions[len(sessions)-1], r)
	}
	var out []nameless
	for i := 0; len(sessions) > 0; i++ {
		n := i % len(sessions)
		if random != nil {
			n = random.IntN(len(sessions))
		}
		out = append(out, sessions[n][0])
		if sessions[n] = sessions[n][1:]; len(sessions[n]) == 0 {
			sessions = append(sessions[:n], sessions[n+1:]...)
			i--
		}
	}
	return out
}

// Nothing that a request goes by is stored by a request of another session,
// except that it may start near one in which a person wrote the same.
func TestCorpusSessionsAreApart(t *testing.T) {
	t.Parallel()
	all := withoutIDs(t)
	for _, r := range all {
		for _, other := range all {
			if r.Session == other.Session {
				continue
			}
			how := relation(r.trail, other.trail)
			switch {
			case r.title && other.title && how == same:
				require.Equal(t, string(other.body), string(r.body), "nobody could tell %v from %v", r, other)
			case how == near:
				require.True(t, r.answered)
			default:
				require.Equal(t, apart, how, "%v and %v", r, other)
			}
		}
	}
}

// With their ids, all requests of a session have one, and no two sessions.
func TestCorpusWithIDs(t *testing.T) {
	t.Parallel()
	owner := map[string]string{}
	for _, r := range corpus.Clients() {
		req := &extract.Request{Header: r.Header, Body: r.Body}
		s, ok := extract.Default().Extract(req)
		require.True(t, ok)
		if s.Source == "trail" {
			require.Contains(t, []string{"gemini", "pi-chat"}, r.Client)
			continue
		}
		id := s.Source + " " + s.ID
		if owner[id] == "" {
			owner[id] = r.Session
		}
		require.Equal(t, r.Session, owner[id])
	}
	sessions := map[string]bool{}
	for _, s := range owner {
		require.False(t, sessions[s], "%s has two ids", s)
		sessions[s] = true
	}
}

// A client in whose requests everything but the words moves is still known: the
// corpus as proxies might pass it on.
func TestCorpusWrittenAnew(t *testing.T) {
	long(t)
	t.Parallel()
	random := rand.New(rand.NewPCG(42, 0))
	for _, r := range withoutIDs(t) {
		for range 3 {
			require.Equal(t, r.trail, trailOf(t, rewritten(t, string(r.body), random)), "%v", r)
		}
	}
}

// rewritten returns a body with its members in another order, other white space
// and other escapes.
func rewritten(t testing.TB, body string, random *rand.Rand) string {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return string(style{random}.json(ordered(v)))
}

// ordered returns a value of encoding/json as one of ours.
func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		var o obj
		for name, value := range v {
			o = append(o, member{name, ordered(value)})
		}
		return o
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = ordered(v[i])
		}
		return list
	case json.Number:
		return raw(v.String())
	}
	return v
}

// seeds returns the bodies of the corpus for fuzzers, cut down to a few
// hundred bytes: what matters is their shape.
func seeds(t testing.TB) [][]byte {
	t.Helper()
	var small [][]byte
	for _, c := range corpus.Clients() {
		var v any
		require.NoError(t, json.Unmarshal(c.Body, &v))
		b, err := json.Marshal(shorten(v))
		require.NoError(t, err)
		small = append(small, b)
	}
	return small
}

// shorten cuts the texts in a JSON value to a few words.
func shorten(v any) any {
	switch v := v.(type) {
	case string:
		const head, tail = 48, 24
		if len(v) > head+tail && !json.Valid([]byte(v)) {
			return string(bytes.ToValidUTF8([]byte(v[:head]+v[len(v)-tail:]), nil))
		}
	case []any:
		for i := range v {
			v[i] = shorten(v[i])
		}
	case map[string]any:
		delete(v, "tools")
		for k := range v {
			v[k] = shorten(v[k])
		}
	}
	return v
}
