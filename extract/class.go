package extract

import (
	"cmp"
	"strings"
)

// A Class is what kind of call a request is.
type Class uint8

const (
	// Turn is a turn of a conversation, or a call that is not known to be
	// anything else.
	Turn Class = iota

	// Subagent is a turn of a sub-agent.
	Subagent

	// Probe is a call that no model answers for anybody: a HEAD request, a
	// token count, a warm-up, a test of the quota.
	Probe

	// Auxiliary is a call beside the conversation: a title, a suggestion, a
	// classifier, memory, an embedding, an image, speech.
	Auxiliary

	// Compaction is the call that replaces a conversation by its summary.
	Compaction
)

// String returns the class in lower case.
func (c Class) String() string {
	switch c {
	case Turn:
		return "turn"
	case Subagent:
		return "subagent"
	case Probe:
		return "probe"
	case Auxiliary:
		return "auxiliary"
	case Compaction:
		return "compaction"
	}
	return "<unknown extract.Class>"
}

// MarshalText implements [encoding.TextMarshaler] by String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// SideCall reports whether calls of the class (Probe, Auxiliary, Compaction) are beside the
// conversation: they have a prompt of their own, so where they go says nothing about where
// the conversation is cached.
func (c Class) SideCall() bool { return c == Probe || c == Auxiliary || c == Compaction }

// Class returns the class of the request: Turn, when in doubt. The first of these that
// says one decides:
//
//   - the method and the path: HEAD, token counts, embeddings and the like;
//   - the headers of Claude Code (X-Claude-Code-Request-Class and others), Codex
//     (X-Openai-Subagent, the request_kind of X-Codex-Turn-Metadata), Copilot
//     (X-Interaction-Type), Grok CLI (X-Grok-Req-Id), DeepSeek Harness
//     (X-Deepseek-Harness-Compact), Anthropic's SDKs (X-Stainless-Helper) and OpenCode
//     (X-Parent-Session-Id, which its sub-agents send);
//   - the body, where it is unmistakable: what Codex says in client_metadata, the
//     loading of models by Ollama, a prompt and a suffix with something to come in
//     between, the fixed beginnings of side calls and sub-agents of some 130 clients,
//     OpenAI's compaction_trigger, the warm-up and quota calls of Claude Code, and
//     greetings and the like that ask for no more than 16 tokens.
//
// The bodies of other clients are recognised by their words:
//
//   - system prompts that say "You are a sub-agent";
//   - where there is nothing but a first question, most system prompts that want a title
//     or summary of a conversation, or a commit message, and some prompts that ask about
//     what was said, such as whether it is safe or right, who is to answer it and what to
//     look up for it. In the question itself, they count only if it has several lines: for a
//     title or a commit message if it opens like "You are a title generator", for a summary
//     if it shows the conversation, and for the others if it opens like a prompt;
//   - the wish for a title of a given length for the current conversation, for the
//     questions that the user may ask next or, in system prompts as well, for a
//     standalone question.
//
// Titles, summaries and standalone questions are known in Chinese, Japanese, Korean,
// Russian, German, French, Spanish and Portuguese, too.
//
// Where the headers say Subagent, the body is looked at as well, since a sub-agent may
// have side calls of its own.
func (r *Request) Class() Class {
	c := r.outerClass()
	if c == Turn || c == Subagent {
		if b := r.bodyClass(); c == Turn || b.SideCall() {
			c = b
		}
	}
	return c
}

// outerClass returns what the method, the path and all headers say.
func (r *Request) outerClass() Class {
	if c := r.pathClass(); c != Turn {
		return c
	}
	r.checkSpelling()
	return r.headerClass()
}

// pathClass returns what the method and the path say.
func (r *Request) pathClass() Class {
	switch r.Method {
	case "HEAD", "OPTIONS":
		return Probe
	case "GET":
		if strings.HasSuffix(r.Path, "/models") { // the list of models, which clients ask for when they start
			return Probe
		}
	}
	const tail = 6
	if len(r.Path) < tail {
		return Turn
	}
	// The path of every request is looked at, so the list is searched only if the path ends
	// like one that is in it: to add a path, add its last letters here.
	switch r.Path[len(r.Path)-tail:] {
	case "etions": // most paths, none of which is in the list
		if strings.HasSuffix(r.Path, "/fim/completions") { // Mistral: what an editor completes
			return Auxiliary
		}
	case "ontent", "ntents": // most of Gemini's
		if strings.Contains(r.Path, "mbedContent") { // in batches as well
			return Auxiliary
		}
	case "redict":
		if strings.HasSuffix(r.Path, "/count-tokens:rawPredict") { // Anthropic on Vertex AI
			return Probe
		}
	case "invoke":
		if strings.Contains(r.Path, "embed") || strings.Contains(r.Path, "rerank") { // in the names of Bedrock's models
			return Auxiliary
		}
	case "tokens", "Tokens", "kenize", "ompact", "ddings", "imodal", "/embed", "ed_all", "sparse", "ooling", "assify", "/score", "ations", "ptions", "/edits", "infill", "speech", "rerank", "eranks", "videos", "unning", "action", "edding", "thesis", "iption", "nsions", "/tasks":
		for _, p := range pathClasses {
			if strings.HasSuffix(r.Path, p.suffix) {
				return p.class
			}
		}
	}
	return Turn
}

// pathClasses are the ends of the paths of calls that are not turns.
var pathClasses = []struct {
	suffix string
	class  Class
}{
	{"/count_tokens", Probe},             // Anthropic
	{":countTokens", Probe},              // Gemini
	{"/count-tokens", Probe},             // Bedrock
	{"/responses/input_tokens", Probe},   // OpenAI
	{"/responses/compact", Compaction},   // OpenAI
	{":computeTokens", Probe},            // Vertex AI
	{"/tokenize", Probe},                 // vLLM, llama.cpp
	{"/detokenize", Probe},               // vLLM, llama.cpp
	{"/infill", Auxiliary},               // llama.cpp: what an editor completes
	{"embeddings", Auxiliary},            // OpenAI and others; Voyage, with a prefix
	{"/multimodal", Auxiliary},           // Volcengine: embeddings
	{"/embed", Auxiliary},                // Ollama, Cohere
	{"/embed_all", Auxiliary},            // Text Embeddings Inference
	{"/embed_sparse", Auxiliary},         // Text Embeddings Inference
	{"/pooling", Auxiliary},              // vLLM
	{"/classify", Auxiliary},             // vLLM, Jina
	{"/score", Auxiliary},                // vLLM
	{"/rerank", Auxiliary},               // Cohere, vLLM
	{"-embedding", Auxiliary},            // DashScope
	{"-rerank", Auxiliary},               // DashScope
	{"/reranks", Auxiliary},              // DashScope
	{"/moderations", Auxiliary},          // OpenAI
	{"/images/generations", Auxiliary},   // OpenAI
	{"/images/edits", Auxiliary},         // OpenAI
	{"/images/variations", Auxiliary},    // OpenAI
	{"/videos", Auxiliary},               // OpenAI
	{"/videos/generations", Auxiliary},   // xAI
	{"/videos/edits", Auxiliary},         // xAI
	{"/videos/extensions", Auxiliary},    // xAI
	{":predictLongRunning", Auxiliary},   // Gemini: a video
	{"/generations/tasks", Auxiliary},    // Volcengine: a video
	{"-synthesis", Auxiliary},            // DashScope: an image or a video
	{"/audio/speech", Auxiliary},         // OpenAI
	{"/audio/transcriptions", Auxiliary}, // OpenAI
	{"/audio/translations", Auxiliary},   // OpenAI
	{"/asr/transcription", Auxiliary},    // DashScope
	{"/feature-extraction", Auxiliary},   // Hugging Face
}

// classHeaders are the headers that headerClass asks for. The search of Headers looks for them
// in passing, and notes in noClassHeader if there is none.
var classHeaders = newNameFilter("X-Claude-Code-Request-Class", "X-Claude-Code-Compaction", "X-Claude-Code-Agent-Id",
	"X-Openai-Subagent", "X-Codex-Turn-Metadata", "X-Interaction-Type", "X-Grok-Req-Id", "X-Deepseek-Harness-Compact",
	"X-Stainless-Helper", parentHeader)

// headerClass returns what any client says in its headers. If they say nothing, it notes that in
// noClassHeader. The caller must have called checkSpelling.
func (r *Request) headerClass() Class {
	if r.noClassHeader.Load() {
		return Turn
	}
	codex := codexClass(r.header("X-Openai-Subagent"), r.turnMetadata())
	c := cmp.Or(r.claudeClass(r.header("X-Claude-Code-Agent-Id")), codex, r.copilotClass(), r.grokClass(), r.harnessClass(), r.helperClass())
	if c == Turn && r.header(parentHeader) != "" {
		c = Subagent
	}
	if c == Turn {
		r.noClassHeader.Store(true)
	}
	return c
}

// claudeClass returns what the headers of Claude Code say, given the agent that they name,
// "" for the main one.
func (r *Request) claudeClass(agent string) Class {
	switch r.header("X-Claude-Code-Request-Class") { // 2.1.273 and later, if asked for
	case "subagent", "workflow":
		return Subagent
	case "compaction":
		return Compaction
	case "auxiliary":
		return Auxiliary
	}
	if r.header("X-Claude-Code-Compaction") != "" {
		return Compaction
	}
	if agent != "" {
		return Subagent
	}
	return Turn
}

// bodyCodexClass returns what the body's client_metadata says, in which Codex repeats its
// headers.
func bodyCodexClass(metadata []byte) Class {
	return codexClass(unquote(lastMember(metadata, "x-openai-subagent")), unquote(lastMember(metadata, "x-codex-turn-metadata")))
}

// codexClass returns the class of a request of Codex, given the kind of sub-agent that sends it (""
// for none) and the metadata of the turn, which is JSON.
func codexClass(subagent, metadata string) Class {
	switch subagent {
	case "":
	case "compact":
		return Compaction
	case "memory_consolidation":
		return Auxiliary
	default: // review, collab_spawn and whatever a fork calls its own
		return Subagent
	}
	if metadata != "" && len(metadata) < maxRaw {
		switch unquote(lastMember([]byte(metadata), "request_kind")) {
		case "prewarm":
			return Probe
		case "compaction":
			return Compaction
		case "memory":
			return Auxiliary
		}
	}
	return Turn
}

// copilotClass returns what the header of GitHub Copilot says.
func (r *Request) copilotClass() Class {
	switch r.header("X-Interaction-Type") {
	case "conversation-subagent":
		return Subagent
	case "conversation-compaction":
		return Compaction
	case "conversation-background":
		return Auxiliary
	}
	return Turn
}

// grokClass returns what the headers of Grok CLI say. Its side calls say what they are in the
// id of the request, such as xai-recap-. See what makes an x_grok_req_id in its source.
func (r *Request) grokClass() Class {
	kind, side := strings.CutPrefix(r.header("X-Grok-Req-Id"), "xai-")
	switch {
	case !side:
		return Turn
	case strings.HasPrefix(kind, "compact-"):
		return Compaction
	}
	return Auxiliary
}

// harnessClass returns what the header of DeepSeek Harness says.
func (r *Request) harnessClass() Class {
	if r.header("X-Deepseek-Harness-Compact") != "" {
		return Compaction
	}
	return Turn
}

// helperClass returns what a header of Anthropic's SDKs says: it lists the parts of the SDK that
// had a hand in the request. One of them compacts the messages of an agent.
func (r *Request) helperClass() Class {
	for _, helpers := range r.values("X-Stainless-Helper") {
		for helper := range strings.SplitSeq(helpers, ",") {
			if strings.TrimSpace(helper) == "compaction" {
				return Compaction
			}
		}
	}
	return Turn
}
