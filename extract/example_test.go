package extract_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/extract"
)

func show(e extract.Extractor, r *extract.Request) {
	s, ok := e.Extract(r)
	fmt.Printf("%q from %q, %v\n", s.ID, s.Source, ok)
}

// The default chain, with an extractor of your own in front.
func Example() {
	ours := extract.ExtractorFunc(func(r *extract.Request) (extract.Session, bool) {
		id, ok := extract.ID(strings.TrimPrefix(r.Header.Get("X-Our-Call"), "call:"))
		return extract.Session{Source: "our-call", ID: id}, ok
	})
	chain := slices.Insert(extract.Default(), 0, extract.Extractor(ours))

	show(chain, &extract.Request{Header: http.Header{"X-Our-Call": {"call:17"}, "X-Session-Id": {"chat-1"}}})
	show(chain, &extract.Request{Header: http.Header{"X-Session-Id": {"chat-1"}}})
	// Output:
	// "17" from "our-call", true
	// "chat-1" from "x-session-id", true
}

func ExampleDefault() {
	body := []byte(`{"conversation_id":"c-1","metadata":{"user_id":"u-1"}}`)
	show(extract.Default(), &extract.Request{Body: body})
	// Output: "c-1" from "conversation_id", true
}

func ExampleClassic() {
	body := []byte(`{"conversation_id":"c-1","metadata":{"user_id":"u-1"}}`)
	show(extract.Classic(), &extract.Request{Body: body})
	// Output: "u-1" from "metadata.user_id", true
}

func ExampleChain() {
	chain := extract.Chain{extract.Header("X-Thread"), extract.Body("thread.id")}
	show(chain, &extract.Request{Body: []byte(`{"thread":{"id":"t-1"}}`)})
	show(chain, &extract.Request{Body: []byte(`{"thread":`)})
	// Output:
	// "t-1" from "body:thread.id", true
	// "" from "", false
}

// An extractor of conversations that the path names.
func ExampleExtractorFunc() {
	chats := extract.ExtractorFunc(func(r *extract.Request) (extract.Session, bool) {
		id, found := strings.CutPrefix(r.Path, "/chats/")
		id, ok := extract.ID(id)
		return extract.Session{Source: "chat-path", ID: id}, found && ok
	})
	show(chats, &extract.Request{Path: "/chats/c-1"})
	// Output: "c-1" from "chat-path", true
}

func ExampleHeader() {
	show(extract.Header("X-Thread"), &extract.Request{Header: http.Header{"x-thread": {" t-1 "}}})
	show(extract.Header("X-Thread"), &extract.Request{Header: http.Header{"X-Thread": {"undefined"}}})
	// Output:
	// "t-1" from "x-thread", true
	// "" from "", false
}

func ExampleHeaders() {
	show(extract.Headers(), &extract.Request{Header: http.Header{"X-Amp-Thread-Id": {"T-1"}}})
	show(extract.Headers(), &extract.Request{Header: http.Header{"X-Acme-Session-Id": {"a-1"}}})
	show(extract.Headers(), &extract.Request{Header: http.Header{"X-Request-Id": {"r-1"}}})
	// Output:
	// "T-1" from "x-amp-thread-id", true
	// "a-1" from "x-acme-session-id", true
	// "" from "", false
}

func ExampleClaudeCode() {
	show(extract.ClaudeCode(), &extract.Request{Header: http.Header{
		"X-Claude-Code-Session-Id": {"CA40AA6D-4238-464E-98DF-6BA3E9377C6E"},
	}})
	// Output: "ca40aa6d-4238-464e-98df-6ba3e9377c6e" from "claude-code", true
}

func ExampleClaudeUserID() {
	show(extract.ClaudeUserID(), &extract.Request{Body: []byte(`{"metadata":{"user_id":
		"user_9af6db7a_account__session_ca40aa6d-4238-464e-98df-6ba3e9377c6e"}}`)})
	show(extract.ClaudeUserID(), &extract.Request{Body: []byte(`{"metadata":{"user_id":
		"{\"device_id\":\"9af6db7a\",\"session_id\":\"ca40aa6d-4238-464e-98df-6ba3e9377c6e\"}"}}`)})
	// Output:
	// "ca40aa6d-4238-464e-98df-6ba3e9377c6e" from "claude-code", true
	// "ca40aa6d-4238-464e-98df-6ba3e9377c6e" from "claude-code", true
}

func ExampleUserID() {
	show(extract.UserID(), &extract.Request{Body: []byte(`{"metadata":{"user_id":"u-1"}}`)})
	// Output: "u-1" from "metadata.user_id", true
}

func ExampleBodyIDs() {
	show(extract.BodyIDs(), &extract.Request{Body: []byte(`{"prompt_cache_key":"k-1"}`)})
	show(extract.BodyIDs(), &extract.Request{Body: []byte(`{"conversation":{"id":"conv_1"}}`)})
	// Output:
	// "k-1" from "prompt_cache_key", true
	// "conv_1" from "conversation", true
}

func ExampleBody() {
	show(extract.Body("chat.tags.0"), &extract.Request{Body: []byte(`{"chat":{"tags":["t-1"]}}`)})
	// Output: "t-1" from "body:chat.tags.0", true
}

func ExampleMetadata() {
	show(extract.Metadata("call"), &extract.Request{Metadata: map[string]string{"call": "c-1"}})
	// Output: "c-1" from "metadata:call", true
}

// Each turn has an ID of its own and leads back to the one before.
func ExampleTrail() {
	const turn1 = `{"role":"user","content":"Where is Oslo?"}`
	const turn2 = turn1 + `,{"role":"assistant","content":"In Norway."},{"role":"user","content":"And Bergen?"}`
	first, _ := extract.Trail().Extract(&extract.Request{Body: []byte(`{"messages":[` + turn1 + `]}`)})
	second, _ := extract.Trail().Extract(&extract.Request{Body: []byte(`{"messages":[` + turn2 + `]}`)})
	fmt.Println(second.ID == first.ID)
	fmt.Println(slices.Contains(second.Continues, first.ID))
	// Output:
	// false
	// true
}

func ExampleFromHTTP() {
	r := httptest.NewRequest("POST", "/v1/responses", strings.NewReader(`{"prompt_cache_key":"k-1"}`))
	req, err := extract.FromHTTP(r, 0)
	if err != nil {
		panic(err)
	}
	show(extract.Default(), req)
	rest, _ := io.ReadAll(r.Body)
	fmt.Printf("%s\n", rest)
	// Output:
	// "k-1" from "prompt_cache_key", true
	// {"prompt_cache_key":"k-1"}
}

func ExampleID() {
	fmt.Println(extract.ID("  chat-1\t"))
	fmt.Println(extract.ID("{{conversation_id}}"))
	// Output:
	// chat-1 true
	//  false
}

func ExampleState() {
	show(extract.State(), &extract.Request{Body: []byte(`{"previous_response_id":"resp_1","input":"go on"}`)})
	// Output: "resp_1" from "state", true
}

// The reader sees a response pass by, in whatever pieces it comes.
func ExampleStateReader() {
	states := extract.NewStateReader(func(id string) { fmt.Println("learned", id) })
	response := io.TeeReader(strings.NewReader("event: response.created\n"+
		`data: {"type":"response.created","response":{"id":"resp_1"}}`+"\n\n"), states)
	if _, err := io.Copy(io.Discard, response); err != nil {
		panic(err)
	}
	// Output: learned resp_1
}

func ExampleRequest_Class() {
	count := extract.Request{Method: "POST", Path: "/v1/messages/count_tokens"}
	fmt.Println(count.Class(), count.Class().SideCall())
	turn := extract.Request{Method: "POST", Path: "/v1/messages"}
	fmt.Println(turn.Class(), turn.Class().SideCall())
	// Output:
	// probe true
	// turn false
}

func ExampleRequest_Pins() {
	r := extract.Request{Body: []byte(`{"previous_response_id":"resp_1","input":[{"type":"item_reference","id":"rs_2"}]}`)}
	fmt.Println(r.Pins())
	// Output: [resp_1 rs_2]
}

// Conversations that begin alike have their first boundaries in common.
func ExampleRequest_Boundaries() {
	ask := func(question string) []extract.Boundary {
		r := &extract.Request{Body: []byte(`{"messages":[{"role":"system","content":"` +
			strings.Repeat("Be brief. ", 1000) + `"},{"role":"user","content":"` + question + `"}]}`)}
		return r.Boundaries()
	}
	a, b := ask("What is Go?"), ask("What is Rust?")
	fmt.Println(a[0] == b[0], a[len(a)-1].Hash == b[len(b)-1].Hash)
	// Output: true false
}

func ExampleRequest_Opening() {
	turn := extract.Request{Body: []byte(`{"messages":[{"role":"user","content":"hi"}]}`)}
	next := extract.Request{Body: []byte(`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"},{"role":"user","content":"bye"}]}`)}
	a, _ := turn.Opening()
	b, _ := next.Opening()
	fmt.Println(a == b)
	// Output: true
}

func ExampleCredential() {
	r := extract.Request{Header: http.Header{"Authorization": {"Bearer k-1"}}}
	fmt.Println(extract.Credential(&r))
	// Output: k-1
}
