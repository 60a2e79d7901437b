"""Fills the peer's database: seed.py COUNT PASSWORD. The user number 0 is its admin."""

import asyncio
import sys
import uuid
from datetime import datetime, timedelta

from fastapi_users.password import PasswordHelper
from sqlalchemy import insert

from app import Base, User, engine

START = datetime(2020, 9, 13)


async def seed(count: int, password: str):
    hash = PasswordHelper().hash(password)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        for start in range(0, count, 10_000):
            rows = [
                {
                    "id": uuid.UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128),
                    "email": f"user.{n}@example.com",
                    "hashed_password": hash,
                    "is_active": True,
                    "is_superuser": n == 0,
                    "is_verified": n % 5 != 3,
                    "first_name": "Ann",
                    "last_name": "Smith",
                    "created_at": START + timedelta(seconds=150 * n),
                }
                for n in range(start, min(start + 10_000, count))
            ]
            await connection.execute(insert(User), rows)
    await engine.dispose()


asyncio.run(seed(int(sys.argv[1]), sys.argv[2]))
