"""What a shop would write instead: accounts with FastAPI, SQLAlchemy and fastapi-users, as their own guides do it."""

import os
import uuid
from datetime import datetime, timezone

from fastapi import Depends, FastAPI, Query
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from sqlalchemy import DateTime, String, event, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = "only for measuring, and never stored"


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(
        DateTime, index=True, default=lambda: datetime.now(timezone.utc)
    )


class UserRead(schemas.BaseUser[uuid.UUID]):
    first_name: str | None
    last_name: str | None
    created_at: datetime


class UserCreate(schemas.BaseUserCreate):
    first_name: str | None = None
    last_name: str | None = None


class UserUpdate(schemas.BaseUserUpdate):
    first_name: str | None = None
    last_name: str | None = None


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['PEER_DATABASE']}")
sessions = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def on_connect(connection, _):
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = wal")
    cursor.execute("PRAGMA busy_timeout = 5000")
    cursor.close()


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def session():
    async with sessions() as session:
        yield session


async def users(session=Depends(session)):
    yield SQLAlchemyUserDatabase(session, User)


async def manager(users=Depends(users)):
    yield UserManager(users)


backend = AuthenticationBackend(
    name="jwt",
    transport=BearerTransport(tokenUrl="auth/login"),
    get_strategy=lambda: JWTStrategy(secret=SECRET, lifetime_seconds=3600),
)
accounts = FastAPIUsers[User, uuid.UUID](manager, [backend])
admin = accounts.current_user(active=True, superuser=True)

app = FastAPI()


@app.get("/healthz")
async def healthz():
    return {"status": "ok"}


@app.get("/users", response_model=list[UserRead], dependencies=[Depends(admin)])
async def list_users(limit: int = Query(50, ge=1, le=200), offset: int = Query(0, ge=0), session=Depends(session)):
    page = select(User).order_by(User.created_at.desc()).limit(limit).offset(offset)
    return (await session.execute(page)).scalars().all()


app.include_router(accounts.get_auth_router(backend), prefix="/auth")
app.include_router(accounts.get_register_router(UserRead, UserCreate), prefix="/auth")
app.include_router(accounts.get_users_router(UserRead, UserUpdate), prefix="/users")
