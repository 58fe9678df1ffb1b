package extract_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// An index has room for the members that real bodies have, and keeps more.
func TestIDsAmongManyMembersInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 11, 12, 13, 63, 64, 65, 200} {
		var many strings.Builder
		for i := range n {
			fmt.Fprintf(&many, `"m%d":%d,`, i, i)
		}
		body := []byte(`{` + many.String() + `"messages":` + big(wholly) + `,"chat":"c","tools":` + big(wholly) + `,"m0":"last"}`)
		r := &extract.Request{Body: body}
		for range 2 {
			requireSession(t, extract.Body("chat"), r, "body:chat", "c")
		}
		requireSession(t, extract.Body("none", "m0"), r, "body:m0", "last")
		requireSession(t, extract.Body("none", "chat"), r, "body:chat", "c")
	}
}

// Names that are longer than any that is known are not written without their escapes; of
// others, all are, however many there are of these.
func TestMemoryOfLongNames(t *testing.T) {
	long(t)
	for _, name := range []string{
		`"` + strings.Repeat(`\u0061`, 100_000) + `":1`,
		strings.Repeat(`"`+strings.Repeat(`\u0061`, 30)+`":1,`, 3000) + `"a":1`,
	} {
		for _, body := range []string{
			`{` + name + `,"messages":["hi"]}`,
			`{"messages":["hi"],"x":` + big(wholly) + `,` + name + `}`,
			`{"metadata":{` + name + `},"messages":["hi"]}`,
			`{"messages":[{"role":"user",` + name + `,"content":"hi"}]}`,
			`{"messages":[{"role":"user","content":[{` + name + `,"text":"hi"}]}]}`,
			`{"messages":[{"role":"user","content":[{` + name + `}]}]}`,
			`{"tools":[{"cache_control":1,` + name + `}],"input":[{` + name + `,"file_id":"x"}]}`,
		} {
			data, most, least := []byte(body), uint64(len(body)/2), uint64(1<<60)
			for n := 0; n < 10 && least >= most; n++ { // the garbage collector, and the race detector, may take room away
				least = min(least, allocated(func() {
					r := &extract.Request{Body: data}
					extract.Default().Extract(r)
					extract.Body("a.name").Extract(r)
					r.Class()
					r.Pins()
					r.Boundaries()
				}))
			}
			require.Less(t, least, most, "%.90s", body)
		}
	}
}

// However they are written, names that are known are found.
func TestNamesOfEscapes(t *testing.T) {
	written := func(name string) (all string) {
		for _, c := range name {
			all += fmt.Sprintf(`\u%04x`, c)
		}
		return `"` + all + `":`
	}
	for _, body := range []string{
		`{` + written("metadata") + `{` + written("cursorConversationId") + `"id-1"}}`,
		`{` + written("conversationState") + `{` + written("conversationId") + `"id-1"}}`,
		`{` + written("previous_interaction_id") + `"id-1"}`,
		`{` + written("a name of the caller's, longer than any of ours") + `"id-1"}`,
	} {
		s, ok := append(extract.Default(), extract.Body("a name of the caller's, longer than any of ours")).Extract(&extract.Request{Body: []byte(body)})
		require.True(t, ok, body)
		require.Equal(t, "id-1", s.ID)
	}
}

// Messages that are passed over, since something before them looks like an id, are read
// if a later member takes that back; and what was read of others is not taken for them.
func TestTheIDBeforeMessagesIsTakenBack(t *testing.T) {
	t.Parallel()
	body := func(who string) []byte {
		return []byte(`{"system":"` + strings.Repeat("s", 1500) + `","session_id":"null","messages":[` + u(who) + `],"session_id":null,` +
			`"input":[` + u(strings.Repeat("x", wholly)) + `],"tools":[` + strings.Repeat(`{},`, 500) + `{}]}`)
	}
	find := func(e extract.Extractor, who string) string {
		s, ok := e.Extract(&extract.Request{Body: body(who)})
		require.True(t, ok)
		return s.ID
	}
	require.Equal(t, find(extract.Trail(), "alice asks"), find(extract.Default(), "alice asks"))
	require.NotEqual(t, find(extract.Default(), "alice asks"), find(extract.Default(), "bob asks"))
}

// Where messages stand, or seem to, they are the same to everybody, whatever the size of
// the body and whoever asked before.
func TestPlacesOfMessages(t *testing.T) {
	t.Parallel()
	inside := `"input":{"messages":[` + u("a") + `]}`
	for _, members := range []string{
		inside, inside + `,"input":` + u("b"), inside + `,"input":"b"`, inside + `,"input":{}`, `"input":` + u("b") + `,` + inside,
		inside + `,"messages":[` + sys("s") + `]`, `"messages":[` + sys("s") + `],` + inside,
		`"input":{"messages":[` + u("a") + `],"messages":[` + u("b") + `]}`, `"input":{"messages":[` + u("a") + `],"messages":1}`,
		`"input":{"messages":[` + u("a") + `],"session_id":"s"}`, `"input":{"messages":[` + sys("s") + `]}`, `"input":{"messages":[` + a("x") + `]}`,
		`"input":{"messages":[],"prompt":"p"}`, `"input":{"messages":null}`,
		`"input":` + u("b"), `"input":"b"`, `"input":[` + u("b") + `]`, `"messages":[],"input":` + u("b"), `"input":` + u("b") + `,"messages":[]`,
		`"request":{"contents":[` + u("a") + `]},"request":{}`,
	} {
		want := ""
		for _, size := range []int{0, wholly / 2, wholly, inPassing} {
			pad := `"pad":"` + strings.Repeat("x", size) + `"`
			for _, body := range []string{`{` + members + `,` + pad + `}`, `{` + pad + `,` + members + `}`} {
				for who, asks := range map[string]func(r *extract.Request){
					"nobody": func(*extract.Request) {}, "class": func(r *extract.Request) { r.Class() }, "pins": func(r *extract.Request) { r.Pins() },
					"opening": func(r *extract.Request) { r.Opening() }, "boundaries": func(r *extract.Request) { r.Boundaries() },
					"ids": func(r *extract.Request) { extract.BodyIDs().Extract(r) },
				} {
					r := &extract.Request{Body: []byte(body)}
					asks(r)
					s, ok := extract.Default().Extract(r)
					opening, opens := r.Opening()
					got := fmt.Sprint(ok, s, opening, opens, r.Boundaries(), r.Class())
					want = cmp.Or(want, got)
					require.Equal(t, want, got, "%s of %d bytes, after %s", members, len(body), who)
				}
			}
		}
	}
}

// A walk that has stopped behind messages does not know whether they are those that count.
func TestMessagesBehindWhereAWalkStopped(t *testing.T) {
	t.Parallel()
	for _, named := range []extract.Extractor{extract.Body("ticket"), extract.Body("session_id")} {
		body := `{"a":` + big(wholly) + `,"messages":[` + u("a") + `],"ticket":1,"session_id":1,"messages":[` + u("b") + `],"b":` + big(wholly) + `}`
		s, ok := extract.Chain{named, extract.Trail()}.Extract(&extract.Request{Body: []byte(body)})
		require.True(t, ok)
		require.Equal(t, trailOf(t, chat(u("b"))).ID, s.ID)
	}
	// Nor does one that goes on from there.
	first := `{"a":` + big(wholly) + `,"messages":[` + u("a") + `],"ticket":1,"contents":[` + u("b") + `],"b":` + big(inPassing) + `}`
	for _, chain := range []extract.Chain{{extract.Body("ticket"), extract.Trail()}, {extract.Body("ticket"), extract.ClaudeUserID(), extract.BodyIDs(), extract.Trail()}} {
		s, ok := chain.Extract(&extract.Request{Body: []byte(first)})
		require.True(t, ok)
		require.Equal(t, trailOf(t, chat(u("a"))).ID, s.ID)
	}
	// Nor does one that has read messages in which nobody says anything, beside a message.
	body := `{"a":` + big(wholly) + `,"input":` + u("b") + `,"messages":[],"metadata":{}}`
	s, ok := extract.Chain{extract.ClaudeUserID(), extract.Trail()}.Extract(&extract.Request{Body: []byte(body)})
	require.True(t, ok)
	require.Equal(t, trailOf(t, responses(u("b"))).ID, s.ID)
}
