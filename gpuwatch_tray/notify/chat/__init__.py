"""Messages to chats and phones. Only the short-lived process that sends them imports this room."""

from __future__ import annotations

from gpuwatch_tray.notify.chat.sender import CHAT_RETRIES, create_chat

__all__ = ["CHAT_RETRIES", "create_chat"]
