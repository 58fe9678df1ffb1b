// Package extract finds out which conversation an LLM request belongs to.
//
// An [Extractor] looks at a [Request] and names a [Session], or passes. A
// [Chain] asks several in order. [Default] is the chain for all kinds of
// clients; build your own from the same parts, or from extractors of yours:
//
//	chain := extract.Chain{
//		extract.Header("X-Our-Thread"), // ours goes first
//		extract.ClaudeCode(),
//		extract.Trail(),
//	}
//
// The package knows no targets and stores nothing. Package affinity does.
//
// # What names a session
//
// The headers and members of JSON bodies that are known, in order of precedence, and the
// clients that send them:
//
//	ClaudeCode()
//	  X-Claude-Code-Session-Id    Claude Code since 2.1.86, Claude Agent SDK
//	  metadata.user_id            Claude Code before, in two forms; Oh-my-pi
//	  user                        the same two forms, by LiteLLM and others that translate
//	Headers()
//	  X-Session-Id                OpenCode, Crush, Kilo Code, Factory Droid, Z.ai, operators
//	  X-Opencode-Session          OpenCode and pi, to hosts of OpenCode
//	  X-Grok-Session-Id           Grok CLI
//	  X-Grok-Conv-Id              Hermes, xAI; Grok CLI, with a new one for each side call
//	  X-Amp-Thread-Id             Amp
//	  X-Litellm-Session-Id        LiteLLM, OpenHands
//	  X-Openwebui-Chat-Id         Open WebUI
//	  X-Roo-Task-Id               Roo Code
//	  X-Task-Id                   Cline
//	  X-Kilocode-Taskid           Kilo Code
//	  X-Client-Session-Id         GitHub Copilot CLI
//	  X-Zcode-Session-Id          ZCode
//	  X-Acp-Session               ACP
//	  X-Jcode-Session             Jcode
//	  X-Polytoken-Session         Polytoken
//	  X-Coder-Chat-Id             Coder
//	  X-Mux-Workspace-Id          Mux
//	  Chatui-Conversation-Id      HuggingChat
//	  Chatbox-Session-Id          Chatbox, to its own gateway
//	  X-Http-Session-Id           Antigravity
//	  X-Openclaw-Session-Key      OpenClaw, to its own gateway
//	  Agent-Session-Id            Goose
//	  X-Bf-Session-Id             Bifrost
//	  X-Merge-Thread-Id           Merge Gateway
//	  X-Smg-Routing-Key           SMG, vLLM
//	  X-Model-Affinity            Plano
//	  X-Dynamo-Session-Id         NVIDIA Dynamo
//	  X-Deepseek-Harness-Session-Id  DeepSeek Harness
//	  Helicone-Session-Id         Helicone
//	  X-Aibrix-Session-Key        AIBrix
//	  X-Livekit-Job-Id            LiveKit Agents, whose X-Livekit-Session-Id names a request
//	  Langfuse_session_id         Langfuse
//	  X-Session-Affinity          OpenCode, Crush, pi, Cloudflare, Fireworks; nanobot, one for all its chats
//	  Session-Id                  Codex CLI
//	  Session_id                  Codex CLI before, pi, Cline, Roo Code
//	  X-Conversation-Id           CodeBuddy; LibreChat, by its templates
//	  Conversation-Id
//	  Conversation_id             Codex CLI before
//	  X-Chat-Id
//	  X-Thread-Id                 LangDB
//	  X-Affinity                  pi and Mistral Vibe, to Mistral
//	  Thread-Id                   Codex CLI, where its header of the session is lost
//	  ...-Session-Id              any other vendor's, such as Modal's and EdgeOne's
//	  ...-Conversation-Id         the same
//	  ...-Chat-Id                 the same
//	  ...-Thread-Id               the same
//	  X-Client-Request-Id         Codex CLI only (see its User-Agent), where its other headers are lost
//	BodyIDs()
//	  conversation_id             Dify, Cohere v1, many applications
//	  conversationId
//	  conversation                OpenAI Responses, as a string
//	  conversation.id             OpenAI Responses, as an object
//	  session_id                  OpenRouter, Cline, Hermes
//	  sessionId
//	  client_metadata.session_id  Codex CLI
//	  request.session_id          Gemini CLI, to Code Assist
//	  request.sessionId           Antigravity
//	  metadata.session_id         LiteLLM, Langfuse
//	  metadata.sessionId          Qwen Code, to DashScope
//	  metadata.conversation_id    as conversationId too
//	  metadata.cursorConversationId  Cursor
//	  metadata.thread_id          LangSmith, as threadId too
//	  metadata.chat_id            Hermes, as chatId too
//	  requestMetadata.session_id  Bedrock Converse, by custom
//	  requestMetadata.sessionId
//	  unbound_metadata.taskId     Roo Code
//	  litellm_session_id          LiteLLM
//	  litellm_metadata.session_id  LiteLLM, where metadata is the provider's
//	  thread_id
//	  threadId
//	  chat_id
//	  chatId                      FastGPT
//	  call.id                     Vapi
//	  conversationState.conversationId  Kiro, Amazon Q
//	  input.session_id            Alibaba Cloud's applications
//	  prompt_cache_key            Codex CLI, pi, Zed, kimi-cli, OpenHands, OpenAI
//	State()
//	  previous_response_id        OpenAI Responses; the id of a response, known if it was learned
//	  previous_interaction_id     Google Interactions
//	  thread.previous_message_id  Claude Code, message threads
//	UserID()
//	  metadata.user_id            in any other form: an end user; the session of kimi-cli and Kimi Code
//	Trail()
//	  the messages                Aider, Gemini CLI, Qwen Code, Continue, pi, browser-use, SDKs
//
// Some names are in none of these lists, since clients use them for something else, such
// as a request, a turn or a machine: X-Request-Id, Idempotency-Key, Traceparent,
// X-Interaction-Id, X-Parent-Session-Id, Mcp-Session-Id, any other user,
// safety_identifier and others. Nor is Coze's conversation_id, which is in the query.
//
// # What names a thread
//
// These name a line of work within a session, such as a sub-agent, or another session that
// started this one. Each counts only beside an id of the same client, and what is in
// client_metadata only where the id is, too. (The main thread of Codex has the id of the
// session, which counts as none.)
//
//	Thread, and ParentThread
//	  X-Claude-Code-Agent-Id      Claude Code, and X-Claude-Code-Parent-Agent-Id
//	  Thread-Id                   Codex CLI, and X-Codex-Parent-Thread-Id
//	  X-Openai-Subagent           Codex CLI, without Thread-Id; all of these in client_metadata, too
//	  X-Interaction-Type          GitHub Copilot CLI, one thread for all sub-agents
//	  X-Openclaw-Agent-Id         OpenClaw
//	Parent
//	  X-Parent-Session-Id         OpenCode, Kilo Code
//	  X-Codex-Turn-Metadata       Codex CLI, its forked_from_thread_id; in client_metadata, too
//	  prompt_cache_key            Codex CLI, what follows the last colon, if it is a uuid
//	  X-Parent-Conversation-Id    CodeBuddy
//	  X-Kilocode-Parent-Taskid    Kilo Code
//	  metadata.parent_session_id  Mistral Vibe
//	  X-Dynamo-Parent-Session-Id  NVIDIA Dynamo
//
// # What else a request says
//
//   - [Request.Class] tells side calls, such as one for a title, from turns.
//   - [Request.Pins] returns the state on its upstream that a request refers to,
//     and a [StateReader] finds the state that a response makes.
//   - [Request.Opening] tells apart the conversations that share one id.
//   - [Request.Boundaries] says where the prompt may be cut, for those who keep
//     track of what upstreams have cached.
//   - [Credential] tells tenants apart.
//
// # Trust
//
// All of this is the client's word. An id is checked ([ID]), but anybody can send any id.
// To keep clients from naming each other's sessions, set the scope ([Request.Scope]) or
// tell tenants apart ([Credential]).
//
// # Bodies
//
// A body is read when an extractor first asks for something in it. If a header names the
// session and the session has a home, none asks, except for the quick look that
// [ClaudeCode] describes. One walk finds all ids, and passes over the messages: of the
// extractors, only [Trail] goes into these. Time is linear in the size of the body, and
// what is kept of it is bounded.
//
// A body must be one JSON object with values nested no deeper than 1,024, and with no more
// than 32,768 members, together with the objects that hold them (the body, metadata and
// the like). Anything else names no session. Of several members with one name the last
// counts, as it does for the parsers of most upstreams; so does the last of two spellings
// in one row of the table.
//
// How much of a body is checked depends on its size:
//
//   - Up to 4 kB, everything but the insides of strings is checked.
//   - Above that, objects and arrays that nobody asks for are skimmed: their
//     brackets must match and their strings must end.
//   - Above 16 kB, the members within 1 kB of either end may be all that is read. If
//     what is asked for first is among them, the answer is taken from there, and a
//     mistake elsewhere goes unnoticed (unless the body is no object at all), as does
//     another member of the same name. Otherwise the body is read up to the member. So
//     the id that takes precedence over all others costs the same whatever the size,
//     if it is where clients put it.
//
// For well-formed bodies in which no two members have the same name, all this makes no
// difference to the answer, with two exceptions. If a header names the session,
// [ClaudeCode] looks for a user_id at the ends only. And [Default] asks a body of more
// than 16 kB for all ids of conversations at once. One at an end then takes precedence
// over one in between, and of two members of the body in between the first counts,
// whatever their order in the table. So a conversation whose requests have two ids may be
// known by one below that size, and by the other above it.
package extract
